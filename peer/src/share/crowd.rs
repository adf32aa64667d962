//! The feed of a crowd: while peers fetch an object, each learns which others do, and which chunks are here.
//!
//! Peers of a crowd read most chunks from each other, so a seed sends a large object about once, to however many. The
//! hashes in the feed are this peer's own: of a sealed object, or of what it reads from the registry.
//!
//! Peers learn only of peers in their own zone (a rack, a site), so that a chunk crosses the link between zones once.
//!
//! **Invariant:** the feed never lists its own reader.

use std::convert::Infallible;
use std::net::SocketAddr;
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
use store::off_thread;
use tokio::time::{Instant, sleep, timeout_at};
use wire::between_peers::{News, SHARE_URL_HEADER, ZONE_HEADER};

use super::crowds::CrowdPlace;
use super::refusal::ShareRefusal;
use super::state::{ShareState, delivered, location};
use crate::fetch::PartialReader;

/// The longest time between two lines: a reader takes a longer silence for a lost connection.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// Changes within this time go out in one line.
const GATHER: Duration = Duration::from_millis(2);
/// The most hashes in one line.
const HASHES: usize = 512;

/// Sends lines of JSON until the calling peer leaves.
pub(super) async fn crowd(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, ShareRefusal> {
    let digest: Digest = digest.parse().map_err(|_| ShareRefusal::NotADigest)?;
    let from = from.map(|Extension(ConnectInfo(from))| from);
    let url = share_url(&headers, from).ok_or(ShareRefusal::NotHeld)?;
    if state.store.is_blocked(&digest) {
        return Err(ShareRefusal::NotHeld);
    }
    let location = location(&headers).ok_or(ShareRefusal::NoLocation)?;
    let chunks = if let Some(sealed) = delivered(&state, &digest, &headers) {
        let hashes = off_thread(move || sealed.chunk_hashes())
            .await
            .map_err(|_| ShareRefusal::Disk)?;
        FeedChunks::All(hashes.listed())
    } else {
        let partly = state.partial_reader_from(&digest, &location);
        FeedChunks::Coming(partly.ok_or(ShareRefusal::NotHeld)?)
    };
    let zone = headers.get(ZONE_HEADER).and_then(|zone| zone.to_str().ok());
    let place = state.crowds.join(&digest, &url, zone.unwrap_or_default());
    let place = place.ok_or(ShareRefusal::NotHeld)?;
    let feed = FeedLines {
        place,
        chunks,
        position: FeedPosition::default(),
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
    let sent = headers.get(SHARE_URL_HEADER)?.to_str().ok()?;
    let url = match from {
        Some(from) if sent.contains("://*") => {
            let host = match from.ip().to_canonical() {
                std::net::IpAddr::V4(ip) => ip.to_string(),
                std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            };
            sent.replacen('*', &host, 1)
        }
        _ => sent.to_owned(),
    };
    let parsed = url::Url::parse(&url).ok()?;
    let is_plain =
        matches!(parsed.scheme(), "http" | "https") && parsed.path() == "/" && parsed.query().is_none();
    is_plain.then(|| url.trim_end_matches('/').to_owned())
}

enum FeedChunks {
    All(Vec<(u64, [u8; 32])>),
    Coming(PartialReader),
}

#[derive(Default)]
struct FeedPosition {
    you: bool,
    siblings: Option<Vec<String>>,
    /// All chunks before this one were sent.
    chunks: u64,
}

struct FeedLines {
    place: CrowdPlace,
    chunks: FeedChunks,
    position: FeedPosition,
}

impl FeedLines {
    /// Returns the next line: an empty one when nothing changed for a while.
    async fn line(&mut self) -> Bytes {
        let until = Instant::now() + HEARTBEAT;
        let mut news = self.news();
        while news == News::default() {
            let happening = async {
                self.changed().await;
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
        let others = self.place.others();
        let siblings = (self.position.siblings.as_ref() != Some(&others)).then(|| others.clone());
        self.position.siblings = Some(others);
        let you = (!self.position.you).then(|| self.place.url.clone());
        self.position.you = true;
        News {
            you,
            siblings,
            chunks: self.new_chunks(),
        }
    }

    fn new_chunks(&mut self) -> Vec<(u64, String)> {
        let from = self.position.chunks;
        let held: Vec<(u64, [u8; 32])> = match &self.chunks {
            FeedChunks::All(all) => all.iter().filter(|(at, _)| *at >= from).copied().collect(),
            FeedChunks::Coming(partly) => partly.hashes_from(from),
        };
        // Chunks behind a gap are sent once the gap is closed.
        let next = held.iter().zip(from..).take_while(|((at, _), next)| at == next);
        let hashes: Vec<(u64, String)> = next
            .take(HASHES)
            .map(|((at, hash), _)| (*at, hex::encode(hash)))
            .collect();
        self.position.chunks += hashes.len() as u64;
        hashes
    }

    async fn changed(&mut self) {
        let changed = self.place.changed.changed();
        match &mut self.chunks {
            FeedChunks::All(_) => drop(changed.await),
            FeedChunks::Coming(partly) => tokio::select! {
                _ = changed => {}
                () = partly.changed() => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_url_names_the_host_that_the_request_came_from() {
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
