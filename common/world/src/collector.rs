//! An OTLP/HTTP collector that can be slow, refuse, and return every received byte.

#![expect(
    clippy::disallowed_methods,
    reason = "tests and benchmarks have no `Running`: the server ends with its `Collector`"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than an exporter waits for an answer.
const SLOW: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Accepts and drops spans.
    Takes,
    /// Accepts and keeps spans.
    Keeps,
    /// Responds after its callers have timed out.
    Slow,
    /// 503 to everything.
    Refuses,
}

/// A running collector; it stops on drop.
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Vec<Bytes>>>,
    serving: JoinHandle<()>,
}

impl Collector {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let kept = Arc::<Mutex<Vec<Bytes>>>::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state((mood, kept.clone()));
        let serving = tokio::spawn(async move {
            // Ends only with the task.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            kept,
            serving,
        }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all received bodies; text in protobuf is readable in them.
    pub fn bytes(&self) -> Vec<u8> {
        let kept = self.kept.lock();
        kept.concat()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State((mood, kept)): State<(Mood, Arc<Mutex<Vec<Bytes>>>)>, body: Bytes) -> StatusCode {
    match mood {
        Mood::Takes => {}
        Mood::Keeps => kept.lock().push(body),
        Mood::Slow => tokio::time::sleep(SLOW).await,
        Mood::Refuses => return StatusCode::SERVICE_UNAVAILABLE,
    }
    StatusCode::OK
}
