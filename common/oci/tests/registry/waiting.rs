//! `Retry-After`, and registries that allow few connections.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use oci::{
    Credential, Digest, Origin, Registries, Registry, RegistryError, RegistryLimits, RegistrySettings, Scheme,
};
use tokio::task::JoinSet;

use crate::server::{
    ANN, RecordedRequest, Server, ann, answer, client, manifest, reach_within, repository, tag,
};

/// A registry that refuses its first `times` requests with this response.
async fn rate_limiting(
    times: usize,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
) -> Server {
    let count = Arc::new(AtomicUsize::new(0));
    Server::start(move |_: &RecordedRequest| {
        if count.fetch_add(1, Ordering::SeqCst) < times {
            answer(status, headers, "slow down")
        } else {
            manifest()
        }
    })
    .await
}

fn registry_waiting(server: &Server, retry_wait: Duration) -> Registry {
    let limits = RegistryLimits {
        retry_wait,
        ..RegistryLimits::default()
    };
    reach_within(server.settings(), limits)
}

const SOON: &[(&str, &str)] = &[("retry-after", "1")];
const BY_DATE: &[(&str, &str)] = &[
    ("date", "Sat, 21 Nov 2026 12:00:00 GMT"),
    ("retry-after", "Sat, 21 Nov 2026 12:00:01 GMT"),
];
const LATER: &[(&str, &str)] = &[("retry-after", "30")];

#[tokio::test]
async fn a_request_is_retried_after_the_time_that_the_registry_names() {
    for (status, headers) in [(429, SOON), (503, SOON), (429, BY_DATE)] {
        let server = rate_limiting(2, status, headers).await;
        let registry = registry_waiting(&server, Duration::from_secs(10));
        registry
            .manifest(&repository(), &tag("1"), &Credential::Anonymous)
            .await
            .unwrap();
        assert_eq!(server.requests().len(), 3, "{status} {headers:?}");
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_an_error_with_its_time() {
    for status in [429, 503] {
        let server = rate_limiting(9, status, LATER).await;
        let registry = registry_waiting(&server, Duration::from_secs(10));
        let error = registry
            .manifest(&repository(), &tag("1"), &Credential::Anonymous)
            .await
            .unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)), "{error}");
        assert!(error.is_worth_retrying());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn all_waits_of_one_call_together_are_bounded() {
    let server = rate_limiting(usize::MAX, 429, SOON).await;
    let registry = registry_waiting(&server, Duration::from_millis(2_500));
    let error = registry
        .manifest(&repository(), &tag("1"), &Credential::Anonymous)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TooManyRequests { .. }), "{error}");
    assert_eq!(
        server.requests().len(),
        3,
        "one request, and two retries within the limit"
    );
}

#[tokio::test]
async fn a_refusal_without_a_time_is_not_retried() {
    for headers in [&[] as &[(&str, &str)], &[("retry-after", "junk")]] {
        let server = rate_limiting(1, 429, headers).await;
        let registry = registry_waiting(&server, Duration::from_secs(10));
        let result = registry
            .manifest(&repository(), &tag("1"), &Credential::Anonymous)
            .await;
        assert!(matches!(result, Err(RegistryError::TooManyRequests { .. })));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_token_request_is_retried_after_the_time_that_the_server_names() {
    let count = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::on(listener, address, move |request: &RecordedRequest| {
        match (request.path.as_str(), request.authorization.as_deref()) {
            ("/token", Some(ANN)) if count.fetch_add(1, Ordering::SeqCst) == 0 => answer(429, SOON, ""),
            ("/token", Some(ANN)) => answer(200, &[], r#"{"token":"good"}"#),
            (_, Some("Bearer good")) => manifest(),
            _ => {
                let realm = format!("Bearer realm=\"http://{address}/token\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        }
    });
    let registry = registry_waiting(&server, Duration::from_secs(10));
    registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
}

/// Counts the bodies in progress.
#[derive(Clone, Default)]
struct Counter {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Counted(Counter);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Counter {
    /// Returns a body of two chunks with a pause between them.
    fn slow_body(&self) -> Response {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let counted = Counted(self.clone());
        let pieces = futures_util::stream::iter(0..2).then(move |_| {
            let _until_the_end = &counted;
            tokio::time::sleep(Duration::from_millis(60))
        });
        let body = pieces.map(|()| Ok::<_, std::io::Error>(Bytes::from_static(b"01234")));
        answer(200, &[("content-length", "10")], Body::from_stream(body))
    }
}

fn at_most(server: &Server, limit: u32) -> RegistrySettings {
    RegistrySettings {
        max_connections: NonZeroU32::new(limit),
        ..server.settings()
    }
}

async fn read(registry: &Registry) -> Result<usize, RegistryError> {
    let digest = Digest::of(b"");
    let blob = registry
        .blob(&repository(), &digest, 0, &Credential::Anonymous)
        .await?;
    let pieces: Vec<Bytes> = blob.stream.try_collect().await?;
    Ok(pieces.concat().len())
}

#[tokio::test]
async fn simultaneous_connections_are_limited_to_the_configured_number() {
    let counter = Counter::default();
    let counting = counter.clone();
    let server = Server::start(move |_| counting.slow_body()).await;
    let registries = Registries::new(Arc::new(client));
    registries.configure(vec![at_most(&server, 2)]);
    let mut readers = JoinSet::new();
    for number in 0..10 {
        // All paths of one registry share its connections, also across a reload of the settings.
        let base_path = if number % 2 == 0 { "" } else { "/mirror" };
        let origin = Origin {
            base_path: base_path.parse().unwrap(),
            ..Origin::of(server.name(), Scheme::Https)
        };
        let registry = registries.registry(&origin).unwrap();
        readers.spawn(async move { read(&registry).await });
        registries.configure(vec![at_most(&server, 2)]);
    }
    for read in readers.join_all().await {
        assert_eq!(read.unwrap(), 10);
    }
    assert_eq!(counter.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_slot_is_held_until_the_body_ends_or_is_dropped() {
    let server = Server::start(|_| answer(200, &[], "0123456789")).await;
    let limits = RegistryLimits {
        connection_wait: Duration::from_millis(400),
        ..RegistryLimits::default()
    };
    let registry = reach_within(at_most(&server, 1), limits);
    let digest = Digest::of(b"");
    let held = registry
        .blob(&repository(), &digest, 0, &Credential::Anonymous)
        .await
        .unwrap();
    let error = read(&registry).await.unwrap_err();
    assert!(matches!(error, RegistryError::NoFreeConnection { .. }), "{error}");
    assert!(error.is_worth_retrying() && error.what_to_do().contains("max_connections"));
    drop(held);
    assert_eq!(read(&registry).await.unwrap(), 10);
}

#[tokio::test]
async fn sign_in_redirects_and_waits_need_no_second_slot() {
    let storage = Server::start(|_| answer(200, &[], "0123456789")).await;
    let target = format!("http://localhost:{}/bucket", storage.address.port());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refused = Arc::new(AtomicUsize::new(0));
    let server = Server::on(listener, address, move |request: &RecordedRequest| {
        match (request.path.as_str(), request.authorization.as_deref()) {
            ("/token", _) => answer(200, &[], r#"{"token":"good"}"#),
            (_, Some("Bearer good")) if refused.fetch_add(1, Ordering::SeqCst) == 0 => answer(503, SOON, ""),
            (_, Some("Bearer good")) => answer(307, &[("location", &target)], ""),
            _ => {
                let realm = format!("Bearer realm=\"http://{address}/token\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
        }
    });
    let limits = RegistryLimits {
        connection_wait: Duration::from_millis(400),
        ..RegistryLimits::default()
    };
    assert_eq!(
        read(&reach_within(at_most(&server, 1), limits)).await.unwrap(),
        10
    );
}
