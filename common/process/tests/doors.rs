//! What every listener does with a request, and what the admin port shows and protects.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use process::Vitals;
use process::admin::{Admin, AdminKey};
use process::metrics::{Format, Metrics};
use process::telemetry::{RouteTemplate, edge};
use tower::ServiceExt as _;

fn listener(metrics: &Metrics) -> Router {
    let templated = || async {
        let mut response = "ok".into_response();
        response
            .extensions_mut()
            .insert(RouteTemplate("/v2/{repository}/blobs/{digest}"));
        response
    };
    let router = Router::new()
        .route(
            "/things/{name}",
            get(|Path(name): Path<String>| async move { name }),
        )
        .route("/v2/{*rest}", get(templated))
        .route("/broken", get(|| async { StatusCode::BAD_GATEWAY }));
    edge(router, "front", metrics)
}

async fn send(router: &Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.expect("infallible")
}

async fn get_path(router: &Router, path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    send(router, request).await
}

async fn body_text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn a_valid_request_id_is_returned_and_an_invalid_one_is_replaced() {
    let router = listener(&Metrics::new());
    for (given, kept) in [
        ("order-7/a", true),
        ("two words", false),
        ("a\"b", false),
        ("", false),
    ] {
        let request = Request::get("/things/a")
            .header("x-request-id", given)
            .body(Body::empty());
        let response = send(&router, request.expect("a request")).await;
        let returned = response
            .headers()
            .get("x-request-id")
            .expect("an id")
            .to_str()
            .expect("text");
        assert_eq!(returned == given, kept, "{given:?} became {returned:?}");
        assert!(!returned.is_empty());
    }
}

#[tokio::test]
async fn routes_are_counted_by_their_template_and_never_by_the_path() {
    let metrics = Metrics::new();
    let router = listener(&metrics);
    for name in ["a", "b", "c"] {
        get_path(&router, &format!("/things/{name}")).await;
        get_path(&router, &format!("/nowhere/{name}")).await;
        get_path(&router, &format!("/v2/{name}/blobs/sha256:00")).await;
    }
    let odd = Request::builder()
        .method(Method::from_bytes(b"BREW").expect("a method"))
        .uri("/things/a");
    send(&router, odd.body(Body::empty()).expect("a request")).await;
    get_path(&router, "/broken").await;
    let text = metrics.text(Format::Prometheus);
    for (method, route, status, count) in [
        ("GET", "/things/{name}", 200, 3),
        ("GET", "unmatched", 404, 3),
        ("GET", "/v2/{repository}/blobs/{digest}", 200, 3),
        ("_OTHER", "/things/{name}", 405, 1),
        ("GET", "/broken", 502, 1),
    ] {
        let line = format!(
            "http_server_request_duration_seconds_count{{stoker_door=\"front\",http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\"}} {count}"
        );
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nis not in\n{text}"
        );
    }
    assert!(!text.contains("nowhere"), "a path became a label:\n{text}");
    assert!(text.contains("http_server_active_requests{stoker_door=\"front\"} 0"));
}

#[tokio::test]
async fn a_client_that_disconnects_is_not_an_active_request() {
    let metrics = Metrics::new();
    let hanging = Router::new().route("/", get(std::future::pending::<&str>));
    let router = edge(hanging, "front", &metrics);
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), get_path(&router, "/")).await;
    assert!(waiting.is_err());
    assert!(
        metrics
            .text(Format::Prometheus)
            .contains("http_server_active_requests{stoker_door=\"front\"} 0")
    );
}

fn admin(key: &AdminKey) -> Router {
    admin_with_profiling(key, true)
}

fn admin_with_profiling(key: &AdminKey, profiling: bool) -> Router {
    let (readiness, latch) = process::readiness();
    drop(latch);
    let vitals = Vitals {
        profiling,
        ..Vitals::default()
    };
    let admin = Admin::new(&vitals, readiness, key.clone());
    admin.router(Router::new().route("/dangerous", get(|| async { "done" })))
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_accepts() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = admin(&AdminKey::open(folder.path()).expect("a key"));
    let open_metrics = Request::get("/metrics").header(
        header::ACCEPT,
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    );
    let open_metrics = send(&router, open_metrics.body(Body::empty()).expect("a request")).await;
    assert!(
        open_metrics.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("application/openmetrics-text")
    );
    assert!(body_text(open_metrics).await.ends_with("# EOF\n"));
    let older_format = get_path(&router, "/metrics").await;
    assert!(
        older_format.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(!body_text(older_format).await.contains("# EOF"));
}

#[tokio::test]
async fn changes_require_the_admin_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let router = admin(&key);
    for path in ["/log", "/dangerous"] {
        let refused = get_path(&router, path).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(
            body_text(refused).await.contains("admin.key"),
            "{path} does not name the key file"
        );
        let opened = Request::get(path).header(header::AUTHORIZATION, key.authorization());
        let opened = send(&router, opened.body(Body::empty()).expect("a request")).await;
        assert_eq!(opened.status(), StatusCode::OK, "{path}");
    }
    for open in ["/healthz", "/readyz", "/server/ping", "/metrics"] {
        assert_eq!(get_path(&router, open).await.status(), StatusCode::OK, "{open}");
    }
    assert_eq!(
        get_path(&router, "/nowhere").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_invalid_log_filter_is_refused_with_an_example() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let wanted = Request::put("/log")
        .header(header::AUTHORIZATION, key.authorization())
        .body(Body::from("peer=loud"));
    let refused = send(&admin(&key), wanted.expect("a request")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(
        body_text(refused).await.trim_end(),
        @"`peer=loud` is not a log filter: write for example info,stoker_peer=debug or peer::fetch=trace,info"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_names_the_function_that_uses_the_cpu() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let router = admin(&key);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy_thread = {
        let stop = stop.clone();
        std::thread::spawn(move || use_cpu_for_the_profile(&stop))
    };
    let wanted =
        Request::get("/debug/pprof/profile?seconds=2").header(header::AUTHORIZATION, key.authorization());
    let response = send(&router, wanted.body(Body::empty()).expect("a request")).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(busy_thread.join().expect("not panicked") > 0);
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24)
        .await
        .expect("a body");
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("use_cpu_for_the_profile"),
        "the function is not in the profile"
    );
}

#[tokio::test]
async fn a_profile_requires_the_setting_and_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let path = "/debug/pprof/profile?seconds=1";
    let wanted = Request::get(path).header(header::AUTHORIZATION, key.authorization());
    let wanted = wanted.body(Body::empty()).expect("a request");
    let switched_off = send(&admin_with_profiling(&key, false), wanted).await;
    assert_eq!(switched_off.status(), StatusCode::NOT_FOUND);
    let without_key = get_path(&admin(&key), path).await;
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
}

#[inline(never)]
fn use_cpu_for_the_profile(stop: &std::sync::atomic::AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        sum = sum.wrapping_mul(31).wrapping_add(7) | 1;
    }
    sum
}
