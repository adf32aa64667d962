//! Who fetches the same object at this moment, and which chunks of it are here: told to each of them while they fetch.
//!
//! Peers that know of each other take most chunks from each other, so that a seed sends a large object about once,
//! however many want it. The hashes that travel with the news are this peer's own: of a whole object, or of what it
//! reads from the registry.
//!
//! Peers of one zone (a rack, a site) hear of each other only, so that a chunk crosses the link between zones once.
//!
//! **Invariant:** bounded: so many objects, so many members each. It tells no peer of itself.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, http::HeaderValue};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use oci::Digest;
use parking_lot::{Mutex, MutexGuard};
use store::off_thread;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use wire::between_peers::{News, SHARE_URL_HEADER, ZONE_HEADER};

use super::objects::Refusal;
use super::{ShareState, delivered, location};
use crate::fetch::Partly;

const OBJECTS: usize = 4_096;
const MEMBERS: usize = 64;
/// Whoever has left has the object, most likely, and is named a while longer.
const LINGERS: Duration = Duration::from_secs(30);
/// Between two lines, whatever happens: silence would mean that we are gone.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// News that come one after the other go out together.
const GATHER: Duration = Duration::from_millis(2);
/// Hashes in one line.
const HASHES: usize = 512;

/// Everybody who fetches, by object. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Crowds(Arc<Mutex<HashMap<Digest, Crowd>>>);

struct Crowd {
    members: Vec<Member>,
    changed: watch::Sender<()>,
}

struct Member {
    url: String,
    zone: String,
    connections: usize,
    left: Instant,
}

/// One peer's place; it is given up when this is dropped.
struct Membership {
    crowds: Crowds,
    digest: Digest,
    url: String,
    zone: String,
    changed: watch::Receiver<()>,
}

impl Crowds {
    fn join(&self, digest: &Digest, url: &str, zone: &str) -> Option<Membership> {
        let mut crowds = self.lock();
        if crowds.len() >= OBJECTS {
            crowds.retain(|_, crowd| crowd.is_alive());
        }
        if crowds.len() >= OBJECTS && !crowds.contains_key(digest) {
            return None;
        }
        let crowd = crowds.entry(digest.clone()).or_insert_with(Crowd::new);
        if !crowd.admit(url, zone) {
            return None;
        }
        let changed = crowd.changed.subscribe();
        crowd.changed.send_replace(());
        Some(Membership {
            crowds: self.clone(),
            digest: digest.clone(),
            url: url.to_owned(),
            zone: zone.to_owned(),
            changed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Crowd>> {
        self.0.lock()
    }
}

impl Crowd {
    fn new() -> Self {
        Self {
            members: Vec::new(),
            changed: watch::channel(()).0,
        }
    }

    fn is_alive(&self) -> bool {
        self.members.iter().any(Member::counts)
    }

    fn admit(&mut self, url: &str, zone: &str) -> bool {
        self.members.retain(Member::counts);
        if let Some(known) = self.members.iter_mut().find(|member| member.url == url) {
            known.connections += 1;
            return true;
        }
        if self.members.len() >= MEMBERS {
            return false;
        }
        self.members.push(Member {
            url: url.to_owned(),
            zone: zone.to_owned(),
            connections: 1,
            left: Instant::now(),
        });
        true
    }
}

impl Member {
    fn counts(&self) -> bool {
        self.connections > 0 || self.left.elapsed() < LINGERS
    }
}

impl Membership {
    fn others(&self) -> Vec<String> {
        let crowds = self.crowds.lock();
        let members = crowds.get(&self.digest).map(|crowd| &crowd.members);
        let is_near = |member: &&Member| member.counts() && member.zone == self.zone;
        let counted = members.into_iter().flatten().filter(is_near);
        let mut others: Vec<String> = counted
            .map(|member| member.url.clone())
            .filter(|url| *url != self.url)
            .collect();
        others.sort_unstable();
        others
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(crowd) = self.crowds.lock().get_mut(&self.digest)
            && let Some(member) = crowd.members.iter_mut().find(|member| member.url == self.url)
        {
            member.connections = member.connections.saturating_sub(1);
            member.left = Instant::now();
        }
    }
}

/// One line of JSON after the other, until the asking peer leaves.
pub(super) async fn crowd(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let digest: Digest = digest.parse().map_err(|_| Refusal::NotADigest)?;
    let from = from.map(|Extension(ConnectInfo(from))| from);
    let url = share_url(&headers, from).ok_or(Refusal::NotHeld)?;
    if state.store.is_blocked(&digest) {
        return Err(Refusal::NotHeld);
    }
    let location = location(&headers).ok_or(Refusal::NoLocation)?;
    let chunks = if let Some(sealed) = delivered(&state, &digest, &headers) {
        let hashes = off_thread(move || sealed.chunk_hashes())
            .await
            .map_err(|_| Refusal::Disk)?;
        Chunks::All(hashes.listed())
    } else {
        let partly = state.on_its_way_from(&digest, &location);
        Chunks::Coming(partly.ok_or(Refusal::NotHeld)?)
    };
    let zone = headers.get(ZONE_HEADER).and_then(|zone| zone.to_str().ok());
    let membership = state.crowds.join(&digest, &url, zone.unwrap_or_default());
    let membership = membership.ok_or(Refusal::NotHeld)?;
    let feed = Feed {
        membership,
        chunks,
        told: Told::default(),
    };
    let lines = stream::unfold(feed, |mut feed| async {
        let line = feed.line().await;
        Some((Ok::<_, Infallible>(line), feed))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn share_url(headers: &HeaderMap, from: Option<SocketAddr>) -> Option<String> {
    let said = headers.get(SHARE_URL_HEADER)?.to_str().ok()?;
    let url = match from {
        Some(from) if said.contains("://*") => {
            let host = match from.ip().to_canonical() {
                std::net::IpAddr::V4(ip) => ip.to_string(),
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            };
            said.replacen('*', &host, 1)
        }
        _ => said.to_owned(),
    };
    let parsed = url::Url::parse(&url).ok()?;
    let is_plain =
        matches!(parsed.scheme(), "http" | "https") && parsed.path() == "/" && parsed.query().is_none();
    is_plain.then(|| url.trim_end_matches('/').to_owned())
}

enum Chunks {
    All(Vec<(u64, [u8; 32])>),
    Coming(Partly),
}

#[derive(Default)]
struct Told {
    you: bool,
    siblings: Option<Vec<String>>,
    /// Chunks up to here.
    chunks: u64,
}

struct Feed {
    membership: Membership,
    chunks: Chunks,
    told: Told,
}

impl Feed {
    /// The next line; an empty one when nothing has happened for a while.
    async fn line(&mut self) -> Bytes {
        let until = Instant::now() + HEARTBEAT;
        let mut news = self.news();
        while news == News::default() {
            let happening = async {
                self.something_happens().await;
                sleep(GATHER).await;
            };
            if timeout_at(until, happening).await.is_err() {
                break;
            }
            news = self.news();
        }
        let mut line = serde_json::to_vec(&news).unwrap_or_default();
        line.push(b'\n');
        line.into()
    }

    fn news(&mut self) -> News {
        let others = self.membership.others();
        let siblings = (self.told.siblings.as_ref() != Some(&others)).then(|| others.clone());
        self.told.siblings = Some(others);
        let you = (!self.told.you).then(|| self.membership.url.clone());
        self.told.you = true;
        News {
            you,
            siblings,
            chunks: self.new_chunks(),
        }
    }

    fn new_chunks(&mut self) -> Vec<(u64, String)> {
        let from = self.told.chunks;
        let there: Vec<(u64, [u8; 32])> = match &self.chunks {
            Chunks::All(all) => all.iter().filter(|(at, _)| *at >= from).copied().collect(),
            Chunks::Coming(partly) => partly.hashes_from(from),
        };
        // What lies behind a gap is told when the gap is closed.
        let next = there.iter().zip(from..).take_while(|((at, _), next)| at == next);
        let told: Vec<(u64, String)> = next
            .take(HASHES)
            .map(|((at, hash), _)| (*at, hex::encode(hash)))
            .collect();
        self.told.chunks += told.len() as u64;
        told
    }

    async fn something_happens(&mut self) {
        let changed = self.membership.changed.changed();
        match &mut self.chunks {
            Chunks::All(_) => drop(changed.await),
            Chunks::Coming(partly) => tokio::select! {
                _ = changed => {}
                () = partly.changed() => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(&[number])
    }

    #[tokio::test]
    async fn everybody_hears_of_all_others() {
        let crowds = Crowds::default();
        let a = crowds.join(&digest(1), "http://a:1", "").expect("room");
        let b = crowds.join(&digest(1), "http://b:1", "").expect("room");
        let _other = crowds.join(&digest(2), "http://c:1", "").expect("room");
        assert_eq!(a.others(), ["http://b:1"]);
        assert_eq!(b.others(), ["http://a:1"]);
        assert!(a.changed.has_changed().expect("open"));
        drop(b);
        // It has left and has the object, most likely.
        assert_eq!(a.others(), ["http://b:1"]);
    }

    #[tokio::test]
    async fn a_zone_keeps_to_itself() {
        let crowds = Crowds::default();
        let join = |url, zone| crowds.join(&digest(1), url, zone).expect("room");
        let (a, _b) = (join("http://a:1", "north"), join("http://b:1", "north"));
        let c = join("http://c:1", "south");
        assert_eq!(a.others(), ["http://b:1"]);
        assert!(c.others().is_empty());
    }

    #[tokio::test]
    async fn a_crowd_has_bounds() {
        let crowds = Crowds::default();
        let members: Vec<_> = (0..=MEMBERS)
            .map(|number| crowds.join(&digest(1), &format!("http://h{number}:1"), ""))
            .collect();
        assert!(members[..MEMBERS].iter().all(Option::is_some));
        assert!(members[MEMBERS].is_none());
    }

    #[test]
    fn a_peer_is_called_by_where_it_answers() {
        let from = Some("10.1.2.3:5555".parse().expect("an address"));
        let with = |said: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(SHARE_URL_HEADER),
                said.parse().expect("a header"),
            )]);
            share_url(&headers, from)
        };
        assert_eq!(with("http://*:65002").as_deref(), Some("http://10.1.2.3:65002"));
        assert_eq!(with("https://node-1:1").as_deref(), Some("https://node-1:1"));
        for bad in ["*", "ftp://x:1", "http://x:1/path", "http://x:1?q=1"] {
            assert_eq!(with(bad), None, "{bad}");
        }
    }
}
