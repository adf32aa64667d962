//! What every door of ours does with a request, and what the admin port shows and guards.

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

fn door(metrics: &Metrics) -> Router {
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

async fn ask(router: &Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.expect("infallible")
}

async fn get_of(router: &Router, path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    ask(router, request).await
}

async fn text_of(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn a_callers_request_id_comes_back_and_a_strange_one_is_replaced() {
    let router = door(&Metrics::new());
    for (given, kept) in [
        ("order-7/a", true),
        ("two words", false),
        ("a\"b", false),
        ("", false),
    ] {
        let request = Request::get("/things/a")
            .header("x-request-id", given)
            .body(Body::empty());
        let response = ask(&router, request.expect("a request")).await;
        let told = response
            .headers()
            .get("x-request-id")
            .expect("an id")
            .to_str()
            .expect("text");
        assert_eq!(told == given, kept, "{given:?} came back as {told:?}");
        assert!(!told.is_empty());
    }
}

#[tokio::test]
async fn routes_are_counted_by_their_template_and_never_by_the_path() {
    let metrics = Metrics::new();
    let router = door(&metrics);
    for name in ["a", "b", "c"] {
        get_of(&router, &format!("/things/{name}")).await;
        get_of(&router, &format!("/nowhere/{name}")).await;
        get_of(&router, &format!("/v2/{name}/blobs/sha256:00")).await;
    }
    let odd = Request::builder()
        .method(Method::from_bytes(b"BREW").expect("a method"))
        .uri("/things/a");
    ask(&router, odd.body(Body::empty()).expect("a request")).await;
    get_of(&router, "/broken").await;
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
        assert!(text.lines().any(|told| told == line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("nowhere"), "a path became a label:\n{text}");
    assert!(text.contains("http_server_active_requests{stoker_door=\"front\"} 0"));
}

#[tokio::test]
async fn a_client_that_leaves_is_no_active_request() {
    let metrics = Metrics::new();
    let hanging = Router::new().route("/", get(std::future::pending::<&str>));
    let router = edge(hanging, "front", &metrics);
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), get_of(&router, "/")).await;
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
async fn a_scraper_gets_the_text_that_it_asks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = admin(&AdminKey::open(folder.path()).expect("a key"));
    let open = Request::get("/metrics").header(
        header::ACCEPT,
        "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
    );
    let open = ask(&router, open.body(Body::empty()).expect("a request")).await;
    assert!(
        open.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("application/openmetrics-text")
    );
    assert!(text_of(open).await.ends_with("# EOF\n"));
    let old = get_of(&router, "/metrics").await;
    assert!(
        old.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(!text_of(old).await.contains("# EOF"));
}

#[tokio::test]
async fn what_changes_something_wants_the_admin_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let router = admin(&key);
    for path in ["/log", "/dangerous"] {
        let refused = get_of(&router, path).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(
            text_of(refused).await.contains("admin.key"),
            "{path} does not tell where the key is"
        );
        let opened = Request::get(path).header(header::AUTHORIZATION, key.authorization());
        let opened = ask(&router, opened.body(Body::empty()).expect("a request")).await;
        assert_eq!(opened.status(), StatusCode::OK, "{path}");
    }
    for open in ["/healthz", "/readyz", "/server/ping", "/metrics"] {
        assert_eq!(get_of(&router, open).await.status(), StatusCode::OK, "{open}");
    }
    assert_eq!(get_of(&router, "/nowhere").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused_with_an_example() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let wanted = Request::put("/log")
        .header(header::AUTHORIZATION, key.authorization())
        .body(Body::from("peer=loud"));
    let refused = ask(&admin(&key), wanted.expect("a request")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(text_of(refused).await.contains("write for example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_names_the_function_that_burns_the_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let router = admin(&key);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let burning = {
        let stop = stop.clone();
        std::thread::spawn(move || burn_time_for_the_profile(&stop))
    };
    let wanted =
        Request::get("/debug/pprof/profile?seconds=2").header(header::AUTHORIZATION, key.authorization());
    let response = ask(&router, wanted.body(Body::empty()).expect("a request")).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(burning.join().expect("not panicked") > 0);
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24)
        .await
        .expect("a body");
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("burn_time_for_the_profile"),
        "the profile does not name it"
    );
}

#[tokio::test]
async fn a_profile_is_not_to_be_had_without_the_switch_or_without_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = AdminKey::open(folder.path()).expect("a key");
    let path = "/debug/pprof/profile?seconds=1";
    let wanted = Request::get(path).header(header::AUTHORIZATION, key.authorization());
    let wanted = wanted.body(Body::empty()).expect("a request");
    let switched_off = ask(&admin_with_profiling(&key, false), wanted).await;
    assert_eq!(switched_off.status(), StatusCode::NOT_FOUND);
    let without_key = get_of(&admin(&key), path).await;
    assert_eq!(without_key.status(), StatusCode::UNAUTHORIZED);
}

#[inline(never)]
fn burn_time_for_the_profile(stop: &std::sync::atomic::AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        sum = sum.wrapping_mul(31).wrapping_add(7) | 1;
    }
    sum
}
