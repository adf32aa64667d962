//! A small registry in this process. It serves the sample image at a limited rate, so that the progress can be
//! watched, and counts requests and bytes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use process::Running;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::super::output;
use super::image::{SampleImage, SampleObject};

pub(crate) const REPOSITORY: &str = "demo/app";
pub(crate) const TAG: &str = "1.0";
/// Bytes per second over all connections, as of a remote registry.
const BYTES_PER_SECOND: u64 = 48 * 1024 * 1024;
const WRITE_SIZE: u64 = 128 * 1024;
const STOP_GRACE: Duration = Duration::from_millis(100);

/// Returns [`BYTES_PER_SECOND`] as text for people.
pub(crate) fn rate() -> String {
    output::bytes(BYTES_PER_SECOND)
}

/// A registry that serves one image until it is stopped.
pub(crate) struct SampleRegistry {
    address: SocketAddr,
    shelf: Arc<Shelf>,
    running: Running,
}

struct Shelf {
    image: SampleImage,
    counts: HashMap<String, Count>,
    /// When the next write may begin.
    next_write: Mutex<Instant>,
}

/// Requests for one object, and the bytes sent.
#[derive(Default)]
struct Count {
    gets: AtomicU64,
    bytes: AtomicU64,
}

impl SampleRegistry {
    pub(crate) async fn start(image: SampleImage) -> anyhow::Result<Self> {
        let listener = process::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = image
            .objects
            .iter()
            .map(|object| (object.digest.to_string(), Count::default()))
            .collect();
        let shelf = Arc::new(Shelf {
            image,
            counts,
            next_write: Mutex::new(Instant::now()),
        });
        let routes = Router::new()
            .route("/v2/", get(|| async { "{}" }))
            .route(&format!("/v2/{REPOSITORY}/manifests/{{wanted}}"), get(answer))
            .route(&format!("/v2/{REPOSITORY}/blobs/{{wanted}}"), get(answer))
            .with_state(shelf.clone());
        let running = Running::new();
        process::serve(listener, routes, &running, None)?;
        Ok(Self {
            address,
            shelf,
            running,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn image(&self) -> &SampleImage {
        &self.shelf.image
    }

    /// Returns the bytes sent so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.shelf
            .counts
            .values()
            .map(|count| count.bytes.load(Ordering::Relaxed))
            .sum()
    }

    pub(crate) fn bytes_of(&self, digest: &str) -> u64 {
        self.shelf
            .counts
            .get(digest)
            .map_or(0, |count| count.bytes.load(Ordering::Relaxed))
    }

    /// Returns the number of GETs of one object, by digest or tag.
    pub(crate) fn gets_of(&self, digest: &str) -> u64 {
        self.shelf
            .counts
            .get(digest)
            .map_or(0, |count| count.gets.load(Ordering::Relaxed))
    }

    /// Stops listening and closes all connections. Counts can still be read.
    pub(crate) async fn stop(&self) {
        self.running.drain(STOP_GRACE).await;
    }
}

async fn answer(
    State(shelf): State<Arc<Shelf>>,
    method: Method,
    headers: HeaderMap,
    Path(wanted): Path<String>,
) -> Response<Body> {
    let wanted = if wanted == TAG {
        shelf.image.index.to_string()
    } else {
        wanted
    };
    let Some(object) = shelf
        .image
        .objects
        .iter()
        .find(|object| object.digest.as_str() == wanted)
    else {
        return refuse(StatusCode::NOT_FOUND);
    };
    let size = object.content.size();
    let wanted_range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = wanted_range.map_or(Some(0..size), |range| range_within(range, size)) else {
        return refuse(StatusCode::RANGE_NOT_SATISFIABLE);
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        send(&shelf, object, range.clone())
    };
    let mut response = Response::builder()
        .header(CONTENT_TYPE, object.media_type)
        .header(CONTENT_LENGTH, range.end - range.start)
        .header(ACCEPT_RANGES, "bytes")
        .header("docker-content-digest", object.digest.as_str());
    if wanted_range.is_some() {
        let last = range.end.saturating_sub(1);
        response = response
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {}-{last}/{size}", range.start));
    }
    response
        .body(body)
        .unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR))
}

fn refuse(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Parses `bytes=5-` and `bytes=5-9`; our programs send no other forms.
fn range_within(text: &str, size: u64) -> Option<Range<u64>> {
    let (from, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from: u64 = from.parse().ok()?;
    let end = if last.is_empty() {
        size
    } else {
        last.parse::<u64>().ok()?.saturating_add(1).min(size)
    };
    (from < end).then_some(from..end)
}

fn send(shelf: &Arc<Shelf>, object: &SampleObject, range: Range<u64>) -> Body {
    let digest = object.digest.to_string();
    if let Some(count) = shelf.counts.get(&digest) {
        count.gets.fetch_add(1, Ordering::Relaxed);
    }
    let content = object.content.clone();
    let shelf = shelf.clone();
    Body::from_stream(stream::unfold(range, move |left| {
        let (shelf, content, digest) = (shelf.clone(), content.clone(), digest.clone());
        async move {
            if left.is_empty() {
                return None;
            }
            let next = (left.start + WRITE_SIZE).min(left.end);
            let bytes = content.read(left.start..next);
            shelf.wait_for_turn(bytes.len() as u64).await;
            if let Some(count) = shelf.counts.get(&digest) {
                count.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Some((Ok::<Bytes, std::io::Error>(bytes), next..left.end))
        }
    }))
}

impl Shelf {
    /// Waits until `size` more bytes fit into the rate. Writes take turns.
    async fn wait_for_turn(&self, size: u64) {
        let mut next = self.next_write.lock().await;
        let begins = (*next).max(Instant::now());
        *next = begins + Duration::from_nanos(size.saturating_mul(1_000_000_000) / BYTES_PER_SECOND);
        drop(next);
        sleep_until(begins).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_object() {
        assert_eq!(range_within("bytes=5-", 10), Some(5..10));
        assert_eq!(range_within("bytes=5-6", 10), Some(5..7));
        assert_eq!(range_within("bytes=5-99", 10), Some(5..10));
        for wrong in ["bytes=10-", "bytes=7-6", "items=1-2", "bytes=-5", "bytes=x-"] {
            assert_eq!(range_within(wrong, 10), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_registry_serves_counts_and_stops() {
        process::install_tls_provider();
        let registry = SampleRegistry::start(SampleImage::make(100_000))
            .await
            .expect("started");
        let http = process::http::client(&process::http::ClientOptions::default()).expect("a client");
        let base = format!("http://{}/v2/{REPOSITORY}", registry.address());
        let index = registry.image().index.to_string();

        let head = http
            .head(format!("{base}/manifests/{TAG}"))
            .send()
            .await
            .expect("answered");
        assert_eq!(
            head.headers().get("docker-content-digest").expect("named"),
            index.as_str()
        );
        assert_eq!(registry.gets_of(&index), 0, "a HEAD is no GET");

        let layer = registry
            .image()
            .objects
            .iter()
            .find(|object| object.label.contains("layer"))
            .expect("a layer");
        let digest = layer.digest.to_string();
        let part = http
            .get(format!("{base}/blobs/{digest}"))
            .header("range", "bytes=100-199");
        let part = part.send().await.expect("answered");
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.bytes().await.expect("read"), layer.content.read(100..200));
        assert_eq!(
            (
                registry.gets_of(&digest),
                registry.bytes_of(&digest),
                registry.bytes()
            ),
            (1, 100, 100)
        );

        registry.stop().await;
        assert!(
            http.get(format!("{base}/manifests/{TAG}")).send().await.is_err(),
            "the registry answers after its stop"
        );
    }
}
