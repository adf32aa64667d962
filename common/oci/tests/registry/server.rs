//! A registry whose responses come from a closure. It records its requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt as _;
use oci::{
    BuildError, Credential, Digest, Registries, Registry, RegistryLimits, RegistryName, RegistrySettings,
    Repository, Secret, TagOrDigest, TlsOptions,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;

pub(crate) const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// One request, as the server received it.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) accept_encoding: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) body: String,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    _serving: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(
        answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::on(listener, address, answer)
    }

    pub(crate) fn on<L>(
        listener: L,
        address: SocketAddr,
        answer: impl Fn(&RecordedRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let router = axum::Router::new().fallback(move |request: Request| {
            let (seen, answer) = (Arc::clone(&seen), answer.clone());
            async move {
                let one = record(request).await;
                seen.lock().push(one.clone());
                if one.path.contains("hang") {
                    std::future::pending::<()>().await;
                }
                answer(&one)
            }
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            requests,
            _serving: serving,
        }
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().clone()
    }

    /// Returns `(method, path, authorization)` of every request so far.
    pub(crate) fn request_log(&self) -> Vec<(String, String, String)> {
        let short = |one: RecordedRequest| (one.method, one.path, one.authorization.unwrap_or_default());
        self.requests().into_iter().map(short).collect()
    }

    pub(crate) fn name(&self) -> RegistryName {
        self.address.to_string().parse().unwrap()
    }

    pub(crate) fn settings(&self) -> RegistrySettings {
        RegistrySettings {
            plain_http: true,
            ..RegistrySettings::new(self.name())
        }
    }

    pub(crate) fn registry(&self) -> Registry {
        reach(self.settings())
    }
}

async fn record(request: Request) -> RecordedRequest {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    RecordedRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        accept: header("accept"),
        accept_encoding: header("accept-encoding"),
        range: header("range"),
        body: String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
    }
}

/// Limits that are short enough for a test.
pub(crate) fn short_limits() -> RegistryLimits {
    RegistryLimits {
        header_wait: Duration::from_millis(400),
        chunk_wait: Duration::from_millis(400),
        document_wait: Duration::from_millis(800),
        connection_wait: Duration::from_millis(400),
        retry_wait: Duration::from_millis(2_000),
        manifest_bytes: 1_000,
        redirects: 5,
    }
}

pub(crate) fn client(tls: &TlsOptions) -> Result<reqwest::Client, BuildError> {
    let options = process::http::ClientOptions {
        ca_pem: tls.ca_pem.clone(),
        insecure_skip_verify: tls.insecure_skip_verify,
        fresh: tls.fresh,
        ..process::http::ClientOptions::default()
    };
    process::http::client(&options).map_err(BuildError::new)
}

/// Uses the real limits, for tests that must not fail on a busy machine.
pub(crate) fn reach(settings: RegistrySettings) -> Registry {
    reach_within(
        settings,
        RegistryLimits {
            manifest_bytes: 1_000,
            ..RegistryLimits::default()
        },
    )
}

pub(crate) fn reach_within(settings: RegistrySettings, limits: RegistryLimits) -> Registry {
    let registries = Registries::with_limits(Arc::new(client), limits);
    let name = settings.name.clone();
    registries.configure(vec![settings]);
    registries
        .registry(&oci::Origin::of(name.clone(), oci::Scheme::Https))
        .unwrap()
}

pub(crate) fn repository() -> Repository {
    "p/app".parse().unwrap()
}

pub(crate) fn tag(text: &str) -> TagOrDigest {
    text.parse().unwrap()
}

pub(crate) fn ann() -> Credential {
    Credential::Basic {
        username: "ann".into(),
        password: Secret::new("pw"),
    }
}

pub(crate) const ANN: &str = "Basic YW5uOnB3";

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

pub(crate) fn manifest() -> Response {
    let digest = Digest::of(MANIFEST).to_string();
    answer(
        200,
        &[("content-type", OCI_MANIFEST), ("docker-content-digest", &digest)],
        MANIFEST,
    )
}

/// A body that sends some bytes and then breaks the connection; with `hang`, it sends nothing more.
pub(crate) fn broken_body(first: &'static str, hang: bool) -> Body {
    let start = futures_util::stream::iter([Ok(Bytes::from_static(first.as_bytes()))]);
    if hang {
        return Body::from_stream(
            start.chain(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()),
        );
    }
    // The pause lets the bytes be sent before the connection is dropped.
    let fault = futures_util::stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("broken on purpose"))
    });
    Body::from_stream(start.chain(fault))
}
