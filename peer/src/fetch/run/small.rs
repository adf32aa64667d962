//! Fetches a small object into memory, proves it there, and sends it to readers while it is written to the disk.
//!
//! **Invariant:** no byte is given out before all of it is proven.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use store::{CHUNK, ProvenBytes};
use tokio::time::timeout;
use tracing::{Instrument as _, debug, info_span};
use wire::Side;

use super::fetch_source::FetchSource;
use super::task::{FetchTask, give_up, other_size};
use crate::fetch::faults::{OPEN_LIMIT, failed, took_too_long};
use crate::fetch::progress::{Body, Remains, Stage};
use crate::source::{OpenSource, SourceError};
use crate::spans::signed;

/// Objects up to this size.
const SMALL: u64 = CHUNK;

impl FetchTask<'_> {
    /// Returns the final stage. `None` when the object must be fetched as a large one: it is not small, or no
    /// source sent the right bytes.
    pub(super) async fn run_small(&mut self) -> Option<Stage> {
        let hint = self.spec.size.or(self.spec.size_hint)?;
        if hint > SMALL || hint == 0 || self.store.landed(&self.spec.digest).await.is_some() {
            return None;
        }
        for from in self.near_and_far() {
            let (name, span) = (from.name(), from.span(0));
            let taking = timeout(OPEN_LIMIT, self.take_all(&from)).instrument(span.span());
            let taken = self.stop.run_until_cancelled(taking).await?;
            let taken = taken.unwrap_or_else(|_| Err(took_too_long()));
            match taken {
                Ok((proven, media_type)) => {
                    let size = proven.bytes().len() as u64;
                    span.done(size);
                    let is_registry = from.is_registry();
                    self.metrics.received(is_registry, size);
                    self.count(&name, is_registry, size);
                    self.media_type = self.media_type.take().or(media_type);
                    return Some(self.keep(proven).await);
                }
                Err(fault) => {
                    let is_over = from.is_registry() && !fault.passing;
                    debug!(stoker.digest = %self.spec.digest, because = %fault, "object not received, asking another source");
                    span.abandoned(0, &fault);
                    self.note_small(&from, name, fault);
                    if is_over {
                        return Some(give_up(failed(&self.spec.digest, &self.faults)));
                    }
                }
            }
        }
        None
    }

    /// Excludes a source, unless its fault may pass.
    fn note_small(&mut self, from: &FetchSource, name: String, fault: SourceError) {
        if !fault.passing {
            match from {
                FetchSource::Parent(url) => self.parents.retain(|other| other != url),
                FetchSource::Relay(url) => self.relays.retain(|other| other != url),
                FetchSource::Registry(_) => {}
            }
        }
        self.faults.push((name, fault));
    }

    /// Returns all sources in order. A relay also sends an object that it holds, so the first seed's store is not
    /// tried separately before.
    fn near_and_far(&self) -> Vec<FetchSource> {
        let first = self.relays.first();
        let is_not_first_relay = |parent: &&String| first != Some(*parent);
        let near = self
            .parents
            .iter()
            .filter(is_not_first_relay)
            .cloned()
            .map(FetchSource::Parent);
        let relays = self.relays.iter().cloned().map(FetchSource::Relay);
        let closed = self
            .parents
            .iter()
            .filter(|parent| first == Some(*parent))
            .cloned();
        let registry = self
            .registry_allowed
            .then(|| FetchSource::Registry(self.spec.location.registry().clone()));
        near.chain(relays)
            .chain(closed.map(FetchSource::Parent))
            .chain(registry)
            .collect()
    }

    async fn take_all(&self, from: &FetchSource) -> Result<(ProvenBytes, Option<String>), SourceError> {
        let (digest, kind, at) = (&self.spec.digest, self.spec.kind, self.spec.registry_source());
        let opened = match from {
            FetchSource::Parent(url) => self.sources.whole(url, digest, &self.spec.location).await?,
            FetchSource::Relay(url) => self.sources.relay(url, &at, kind, digest, 0).await?,
            FetchSource::Registry(_) => self.sources.registry(&at, kind, digest, 0).await?,
        };
        if let (Some(claimed), Some(expected)) = (opened.size, self.spec.size)
            && claimed != expected
        {
            return Err(other_size(claimed, expected));
        }
        let mut opened = self.paced(opened, from.way());
        let media_type = opened.media_type.take();
        let bytes = gather(&mut opened).await?;
        // The fetch as a large object finds out which source sent wrong bytes.
        let proven = ProvenBytes::prove(digest, bytes).map_err(|wrong| SourceError {
            side: if from.is_registry() {
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
        let _room = match self.store.make_room(&self.spec.digest, size).await {
            Ok(room) => room,
            Err(none) => return self.disk(&none.into(), Remains::nothing(&self.spec.digest)),
        };
        let span = info_span!("seal", stoker.bytes = signed(size));
        let keeping = self.store.keep(proven, self.media_type.clone(), self.spec.kind);
        match keeping.instrument(span).await {
            Ok(_) => {
                self.remember_the_trace();
                Stage::Sealed(self.report.clone())
            }
            Err(error) => self.disk(&error, Remains::nothing(&self.spec.digest)),
        }
    }
}

/// Reads a whole small object. Stops when it turns out to be large.
async fn gather(opened: &mut OpenSource) -> Result<Bytes, SourceError> {
    let too_large = || SourceError {
        side: Side::Registry,
        word: "wrong_size",
        // The fetch as a large object accepts each size.
        passing: true,
        text: "it is larger than announced".to_owned(),
    };
    if opened.size.is_some_and(|size| size > SMALL) {
        return Err(too_large());
    }
    let expected = opened.size.unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(usize::try_from(expected).unwrap_or_default());
    while let Some(more) = opened.stream.next().await {
        bytes.extend_from_slice(&more?);
        if bytes.len() as u64 > SMALL {
            return Err(too_large());
        }
    }
    Ok(bytes.freeze())
}
