//! Fetches an object that is known to be small: into memory, proven there, and written while its readers have it.
//!
//! **Invariant:** not a byte of it is given out before all of it is proven.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use store::{CHUNK, ProvenBytes};
use tokio::time::timeout;
use tracing::{Instrument as _, debug, info_span};
use wire::Side;

use super::source_span::SourceSpan;
use super::{Fetch, Stage, give_up};
use crate::fetch::faults::{OPEN_LIMIT, failed, took_too_long};
use crate::fetch::progress::{Body, Remains};
use crate::limits::Way;
use crate::source::{Opened, SourceError};
use crate::spans::signed;

/// Objects up to this size.
const SMALL: u64 = CHUNK;

/// Who is asked, in this order.
enum From {
    Parent(String),
    Relay(String),
    Registry,
}

impl Fetch<'_> {
    /// How it ended; none when it has to be fetched the long way: it is not small, or nobody gave the right bytes.
    pub(super) async fn run_small(&mut self) -> Option<Stage> {
        let hint = self.wanted.size.or(self.wanted.size_hint)?;
        if hint > SMALL || hint == 0 || self.store.landed(&self.wanted.digest).await.is_some() {
            return None;
        }
        for from in self.near_and_far() {
            let (name, told) = match &from {
                From::Parent(url) => (url.clone(), SourceSpan::of_parent(url, 0)),
                From::Relay(url) => (url.clone(), SourceSpan::of_relay(url, 0)),
                From::Registry => {
                    let name = self.wanted.location.registry().to_string();
                    (name.clone(), SourceSpan::of_registry(&name, 0))
                }
            };
            let taking = timeout(OPEN_LIMIT, self.take_all(&from)).instrument(told.span());
            let taken = self.stop.run_until_cancelled(taking).await?;
            let taken = taken.unwrap_or_else(|_| Err(took_too_long()));
            match taken {
                Ok((proven, media_type)) => {
                    let size = proven.bytes().len() as u64;
                    told.done(size);
                    let is_registry = matches!(from, From::Registry);
                    self.metrics.received(is_registry, size);
                    self.count(&name, is_registry, size);
                    self.media_type = self.media_type.take().or(media_type);
                    return Some(self.keep(proven).await);
                }
                Err(fault) => {
                    let is_over = matches!(from, From::Registry) && !fault.passing;
                    debug!(stoker.digest = %self.wanted.digest, because = %fault, "another source is asked");
                    told.left(0, &fault);
                    self.note_small(&from, name, fault);
                    if is_over {
                        return Some(give_up(failed(&self.wanted.digest, &self.faults)));
                    }
                }
            }
        }
        None
    }

    /// Who cannot do better in a moment is not asked again.
    fn note_small(&mut self, from: &From, name: String, fault: SourceError) {
        if !fault.passing {
            match from {
                From::Parent(url) => self.parents.retain(|other| other != url),
                From::Relay(url) => self.relays.retain(|other| other != url),
                From::Registry => {}
            }
        }
        self.faults.push((name, fault));
    }

    /// A seed that is asked to fetch it gives it too when it has it: its store need not be asked before.
    fn near_and_far(&self) -> Vec<From> {
        let first = self.relays.first();
        let asked_anyway = |parent: &&String| first != Some(*parent);
        let near = self
            .parents
            .iter()
            .filter(asked_anyway)
            .cloned()
            .map(From::Parent);
        let relays = self.relays.iter().cloned().map(From::Relay);
        let closed = self
            .parents
            .iter()
            .filter(|parent| first == Some(*parent))
            .cloned();
        let origin = self.origin.then_some(From::Registry);
        near.chain(relays)
            .chain(closed.map(From::Parent))
            .chain(origin)
            .collect()
    }

    async fn take_all(&self, from: &From) -> Result<(ProvenBytes, Option<String>), SourceError> {
        let (digest, kind, origin) = (&self.wanted.digest, self.wanted.kind, self.wanted.at_registry());
        let (opened, way) = match from {
            From::Parent(url) => (
                self.sources.whole(url, digest, &self.wanted.location).await?,
                Way::FromPeer,
            ),
            From::Relay(url) => (
                self.sources.relay(url, &origin, kind, digest, 0).await?,
                Way::FromPeer,
            ),
            From::Registry => (
                self.sources.origin(&origin, kind, digest, 0).await?,
                Way::FromOrigin(self.wanted.location.registry().clone()),
            ),
        };
        if let (Some(told), Some(expected)) = (opened.size, self.wanted.size)
            && told != expected
        {
            return Err(super::stream::other_size(told, expected));
        }
        let mut opened = self.paced(opened, way);
        let media_type = opened.media_type.take();
        let bytes = gather(&mut opened).await?;
        // Who gave wrong bytes is found out on the long way.
        let proven = ProvenBytes::prove(digest, bytes).map_err(|wrong| SourceError {
            side: if matches!(from, From::Registry) {
                Side::Registry
            } else {
                Side::Peer
            },
            word: "wrong_bytes",
            passing: true,
            text: wrong.to_string(),
        })?;
        Ok((proven, media_type))
    }

    async fn keep(&mut self, proven: ProvenBytes) -> Stage {
        let bytes = proven.bytes().clone();
        let size = bytes.len() as u64;
        self.note_delivered();
        self.progress.send_modify(|now| {
            now.size = Some(size);
            now.landed = size;
            now.body = Some(Body::Memory(bytes));
            now.stage = Stage::Proven(self.report.clone());
        });
        tracing::Span::current().record("stoker.bytes", signed(size));
        let _room = match self.store.make_room(&self.wanted.digest, size).await {
            Ok(room) => room,
            Err(none) => return self.disk(&none.into(), Remains::nothing()),
        };
        let span = info_span!("seal", stoker.bytes = signed(size));
        let keeping = self.store.keep(proven, self.media_type.clone(), self.wanted.kind);
        match keeping.instrument(span).await {
            Ok(_) => {
                self.remember_the_trace();
                Stage::Sealed(self.report.clone())
            }
            Err(error) => self.disk(&error, Remains::nothing()),
        }
    }
}

/// All of a small object; one that turns out to be large is not read on.
async fn gather(opened: &mut Opened) -> Result<Bytes, SourceError> {
    let too_large = || SourceError {
        side: Side::Registry,
        word: "wrong_size",
        // The long way is for objects of any size.
        passing: true,
        text: "it is larger than was said".to_owned(),
    };
    if opened.size.is_some_and(|size| size > SMALL) {
        return Err(too_large());
    }
    let expected = opened.size.unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(usize::try_from(expected).unwrap_or_default());
    while let Some(piece) = opened.pieces.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > SMALL {
            return Err(too_large());
        }
    }
    Ok(bytes.freeze())
}
