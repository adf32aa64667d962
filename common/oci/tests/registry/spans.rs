//! The spans of each request: what they show and what they must not show.

use std::sync::{Arc, OnceLock};

use futures_util::{StreamExt as _, TryStreamExt as _};
use oci::{Credential, Digest, ForwardedObject, ForwardedRequest};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::server::{Server, ann, answer, broken_body, manifest, repository, tag};

/// Keeps the spans instead of exporting them.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

/// One for the whole process: spans that other tests have created before ignore the subscriber of one thread.
fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = Recorder::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(recorder.clone())
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_filter(LevelFilter::INFO);
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
        recorder
    })
}

/// Returns the spans of `work`, in the order in which they ended.
async fn spans_of(work: impl Future<Output = ()>) -> Vec<SpanData> {
    let recorder = recorder();
    let root = tracing::info_span!("test");
    let trace = root.context().span().span_context().trace_id();
    work.instrument(root).await;
    let all = recorder.0.lock();
    let ours = all.iter().filter(|span| span.span_context.trace_id() == trace);
    ours.filter(|span| span.name != "test").cloned().collect()
}

/// Returns status, name and a few attributes in one line.
fn line(span: &SpanData) -> String {
    let shown = [
        "http.response.status_code",
        "http.request.resend_count",
        "http.response.body.size",
        "stoker.signed_in",
        "error.type",
    ];
    let parts = shown.iter().filter_map(|key| {
        let found = attribute(span, key)?;
        Some(format!(" {}={found}", key.rsplit('.').next()?))
    });
    format!("{}{}", span.name, parts.collect::<String>())
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key.as_str() == key)?;
    // A number that is sent as text cannot be searched as a number.
    let is_text = matches!(found.value, opentelemetry::Value::String(_));
    let is_number = found.value.as_str().parse::<i64>().is_ok();
    assert!(
        !(is_text && is_number) || key == "error.type",
        "{key} is a number in quotes"
    );
    Some(found.value.to_string())
}

fn lines(spans: &[SpanData]) -> Vec<String> {
    spans.iter().map(line).collect()
}

const LAYER: &[u8] = b"these are the bytes of a layer";

/// A registry that requires a token, and redirects to storage for blobs.
async fn token_registry() -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Server::on(listener, address, move |request| {
        match (request.path.as_str(), &request.authorization) {
            ("/token", _) => answer(200, &[], r#"{"token":"t0ken-s3cret"}"#),
            ("/cdn", _) => answer(200, &[], LAYER),
            (_, None) => {
                let realm = format!("Bearer realm=\"http://{address}/token?key=query-s3cret\"");
                answer(401, &[("www-authenticate", &realm)], "")
            }
            (path, _) if path.contains("/blobs/") => {
                let elsewhere = format!("http://localhost:{}/cdn?signature=query-s3cret", address.port());
                answer(307, &[("location", &elsewhere)], "")
            }
            _ => manifest(),
        }
    })
}

#[tokio::test]
async fn a_manifest_that_needs_a_sign_in_shows_each_request_of_it() {
    let server = token_registry().await;
    let registry = server.registry();
    let spans = spans_of(async {
        registry.manifest(&repository(), &tag("1"), &ann()).await.unwrap();
    })
    .await;
    assert_eq!(
        lines(&spans),
        [
            "GET /v2/{repository}/manifests/{reference} status_code=401 size=0 signed_in=false",
            "GET /token status_code=200 size=24 signed_in=false",
            "GET /v2/{repository}/manifests/{reference} status_code=200 resend_count=1 size=19 signed_in=true",
        ]
    );
    let last = &spans[2];
    assert_eq!(last.span_kind, SpanKind::Client);
    for (key, value) in [
        ("http.request.method", "GET".to_owned()),
        ("server.address", "127.0.0.1".to_owned()),
        ("server.port", server.address.port().to_string()),
        (
            "url.template",
            "/v2/{repository}/manifests/{reference}".to_owned(),
        ),
        ("stoker.image", format!("{}/p/app:1", server.name())),
    ] {
        assert_eq!(attribute(last, key), Some(value), "{key}");
    }
}

#[tokio::test]
async fn a_redirect_has_its_own_span_until_the_last_byte() {
    let server = token_registry().await;
    let registry = server.registry();
    let spans = spans_of(async {
        let digest = Digest::of(LAYER);
        let blob = registry.blob(&repository(), &digest, 0, &ann()).await.unwrap();
        let bytes: Vec<_> = blob.stream.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), LAYER);
    })
    .await;
    let shown = lines(&spans);
    assert_eq!(
        shown[2..],
        [
            "GET /v2/{repository}/blobs/{digest} status_code=307 resend_count=1 size=0 signed_in=true",
            "GET {redirect} status_code=200 resend_count=2 size=30 signed_in=true",
        ],
        "{shown:#?}"
    );
    assert_eq!(
        attribute(&spans[3], "server.address").as_deref(),
        Some("localhost")
    );
}

#[tokio::test]
async fn the_span_of_an_abandoned_body_has_the_received_size() {
    let server = Server::start(|_| answer(200, &[], broken_body("12345", true))).await;
    let registry = server.registry();
    let spans = spans_of(async {
        let digest = Digest::of(LAYER);
        let mut blob = registry
            .blob(&repository(), &digest, 0, &Credential::Anonymous)
            .await
            .unwrap();
        assert_eq!(blob.stream.next().await.unwrap().unwrap().as_ref(), b"12345");
    })
    .await;
    assert_eq!(
        lines(&spans),
        ["GET /v2/{repository}/blobs/{digest} status_code=200 size=5 signed_in=false"]
    );
}

#[tokio::test]
async fn a_failure_is_an_error_type_on_the_span() {
    let server = Server::start(|request| match request.path.as_str() {
        path if path.ends_with("missing") => answer(404, &[], ""),
        path if path.contains("/blobs/") => answer(200, &[], broken_body("12345", false)),
        _ => answer(200, &[], vec![b' '; 2_000]),
    })
    .await;
    let registry = server.registry();
    let anonymous = Credential::Anonymous;
    let spans = spans_of(async {
        let repository = repository();
        registry
            .manifest(&repository, &tag("missing"), &anonymous)
            .await
            .unwrap_err();
        registry
            .manifest(&repository, &tag("large"), &anonymous)
            .await
            .unwrap_err();
        let digest = Digest::of(LAYER);
        let blob = registry.blob(&repository, &digest, 0, &anonymous).await.unwrap();
        blob.stream.try_collect::<Vec<_>>().await.unwrap_err();
    })
    .await;
    let words: Vec<_> = spans
        .iter()
        .map(|span| attribute(span, "error.type").unwrap())
        .collect();
    assert_eq!(words, ["404", "too_large", "cut_short"]);
    for span in &spans {
        assert!(matches!(span.status, Status::Error { .. }), "{span:?}");
    }
}

#[tokio::test]
async fn an_unreachable_registry_is_an_error_type_on_the_span() {
    let gone = Server::start(|_| answer(200, &[], "")).await.settings();
    let registry = crate::server::reach(gone);
    let spans = spans_of(async {
        let anonymous = Credential::Anonymous;
        registry
            .manifest(&repository(), &tag("1"), &anonymous)
            .await
            .unwrap_err();
    })
    .await;
    assert_eq!(
        lines(&spans),
        ["GET /v2/{repository}/manifests/{reference} signed_in=false type=unreachable"]
    );
}

#[tokio::test]
async fn no_span_holds_a_credential_or_a_query() {
    let server = token_registry().await;
    let registry = server.registry();
    let spans = spans_of(async {
        let digest = Digest::of(LAYER);
        let blob = registry.blob(&repository(), &digest, 0, &ann()).await.unwrap();
        blob.stream.try_collect::<Vec<_>>().await.unwrap();
        let ready_made = Credential::from_authorization("Bearer header-s3cret");
        registry
            .manifest_head(&repository(), &tag("1"), &ready_made)
            .await
            .unwrap();
        let forwarded = ForwardedRequest {
            method: http::Method::GET,
            repository: repository(),
            kind: ForwardedObject::Blob { digest },
            authorization: Some(oci::Secret::new("Bearer header-s3cret")),
            accept: Vec::new(),
            limit: std::time::Duration::from_secs(20),
        };
        let answer = registry.forward(forwarded).await.unwrap();
        assert_eq!(answer.bytes().await.unwrap(), LAYER);
    })
    .await;
    assert!(spans.len() >= 6, "{:#?}", lines(&spans));
    for span in &spans {
        let all = format!("{span:?}");
        assert!(
            !all.contains("s3cret") && !all.contains("YW5u") && !all.contains('?'),
            "{all}"
        );
    }
}
