//! A registry that serves only so many requests at once and refuses others: what a real one does only behind a proxy
//! or under a load that a test cannot make.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio_util::io::ReaderStream;

use crate::Image;

const PARTS: u32 = 16;

/// What it refuses, and how.
#[derive(Debug, Clone, Copy)]
pub struct Refusing {
    /// Requests that it serves at once, each from its head to the end of its body.
    pub allowed: usize,
    pub status: u16,
    /// Seconds.
    pub retry_after: Option<u64>,
    /// How long the body of a layer takes.
    pub layer_takes: Duration,
}

/// A registry that holds one image, under every repository and tag.
pub struct CountingRegistry {
    host: String,
    served: Arc<Served>,
    _serving: JoinSet<()>,
}

struct Served {
    image: Image,
    how: Refusing,
    counts: Mutex<Counts>,
}

/// What the registry has seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub at_once: usize,
    pub most: usize,
    pub refused: usize,
}

/// A served request, until the end of its body.
struct Counted(Arc<Served>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.counts.lock().at_once -= 1;
    }
}

impl CountingRegistry {
    pub async fn start(image: Image, how: Refusing) -> Self {
        let served = Arc::new(Served {
            image,
            how,
            counts: Mutex::default(),
        });
        let router = axum::Router::new()
            .route("/v2/", get(|| async { "{}" }))
            .route("/v2/{*path}", get(answer))
            .with_state(Arc::clone(&served));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self {
            host,
            served,
            _serving: serving,
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn counts(&self) -> Counts {
        *self.served.counts.lock()
    }
}

async fn answer(State(served): State<Arc<Served>>, method: Method, Path(path): Path<String>) -> Response {
    let Some(counted) = count(&served) else {
        return refusal(served.how);
    };
    let (named, reference) = path.rsplit_once('/').unwrap_or_default();
    let root = &served.image.root().digest;
    let digest = if reference.starts_with("sha256:") {
        reference
    } else {
        root
    };
    let object = served
        .image
        .objects()
        .iter()
        .find(|object| object.digest == digest);
    let Some(object) = object else {
        return with_status(StatusCode::NOT_FOUND, Body::empty());
    };
    let is_manifest = named.ends_with("/manifests");
    let bytes = served.image.bytes(&object.digest);
    let body = match (&method, is_manifest) {
        (&Method::HEAD, _) => Body::empty(),
        (_, true) => Body::from(bytes),
        (_, false) => slowly(bytes, served.how.layer_takes, counted),
    };
    let mut response = with_status(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, object.size.into());
    if is_manifest {
        headers.insert(header::CONTENT_TYPE, object.media_type.parse().expect("a type"));
        headers.insert("docker-content-digest", object.digest.parse().expect("a digest"));
    }
    response
}

fn count(served: &Arc<Served>) -> Option<Counted> {
    let mut counts = served.counts.lock();
    if counts.at_once >= served.how.allowed {
        counts.refused += 1;
        return None;
    }
    counts.at_once += 1;
    counts.most = counts.most.max(counts.at_once);
    Some(Counted(Arc::clone(served)))
}

fn refusal(how: Refusing) -> Response {
    let words = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests at once"}]}"#;
    let status = StatusCode::from_u16(how.status).expect("a status");
    let mut response = with_status(status, Body::from(words));
    if let Some(seconds) = how.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Spreads the bytes over the time.
#[expect(
    clippy::disallowed_methods,
    reason = "it ends with the response that it feeds"
)]
fn slowly(bytes: Vec<u8>, takes: Duration, counted: Counted) -> Body {
    let (mut writer, reader) = tokio::io::duplex(64 << 10);
    let size = bytes.len().div_ceil(PARTS as usize).max(1);
    tokio::spawn(async move {
        for part in bytes.chunks(size) {
            tokio::time::sleep(takes / PARTS).await;
            if writer.write_all(part).await.is_err() {
                break;
            }
        }
        drop(counted);
    });
    Body::from_stream(ReaderStream::new(reader))
}

fn with_status(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
