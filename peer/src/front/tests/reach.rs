//! Unreachable hosts, and failed questions to reachable ones.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fetch::tests::support::eventually;

use super::support::{Fate, FrontFixture, Image, SignIn, basic, serve};

const MINUTES: Duration = Duration::from_secs(11 * 60);
const HOURS: Duration = Duration::from_secs(2 * 3_600);
const ANN: Option<(&str, &str)> = Some(("ann", "pw-ann"));

fn ann() -> String {
    basic("ann", "pw-ann")
}

fn blob(image: &Image) -> String {
    format!("/v2/a/blobs/{}", image.layer)
}

/// The image that `ann` has just pulled.
async fn pulled() -> (FrontFixture, Image) {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    assert_eq!(world.pull("a", &image, Some(&ann())).await, StatusCode::OK);
    (world, image)
}

fn rate_limited(seconds: u64) -> Fate {
    Fate::Answered(
        StatusCode::TOO_MANY_REQUESTS,
        vec![("retry-after", seconds.to_string())],
    )
}

#[tokio::test]
async fn a_429_is_repeated_from_memory_to_its_own_caller_only() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let open = world.registry.push("open", "open layer");
    world.registry.treats("HEAD /v2/a/manifests/v1", rate_limited(70));
    for _ in 0..3 {
        let got = world.head("/v2/a/manifests/v1", Some(&ann())).await;
        assert_eq!(got.status, StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = got.header("retry-after").parse().expect("seconds");
        assert!((1..=70).contains(&wait), "{wait}");
    }
    assert_eq!(world.registry.count("HEAD /v2/a/manifests/v1"), 1);
    assert_eq!(world.registry.count("GET /v2/"), 0, "no probe for a 429");
    assert_eq!(world.pull("open", &open, None).await, StatusCode::OK);
    let by_digest = world.pull_by_digest("a", &image, Some(&ann())).await;
    assert_eq!(by_digest, StatusCode::OK, "another question of the same caller");
}

#[tokio::test]
async fn a_500_prolongs_no_revoked_grant() {
    let (world, image) = pulled().await;
    world.let_time_pass(MINUTES);
    world.registry.treats(
        &format!("HEAD {}", blob(&image)),
        Fate::Answered(
            StatusCode::UNAUTHORIZED,
            vec![("www-authenticate", "Basic realm=\"fake\"".to_owned())],
        ),
    );
    let broken = StatusCode::INTERNAL_SERVER_ERROR;
    world.registry.answers("HEAD /v2/a/manifests/broken", broken);
    let got = world.head("/v2/a/manifests/broken", Some(&ann())).await;
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
    let revoked = world.get(&blob(&image), Some(&ann())).await;
    assert_eq!(revoked.status, StatusCode::UNAUTHORIZED);
    world.stop_registry().await;
    let offline = world.get(&blob(&image), Some(&ann())).await;
    assert_eq!(offline.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_grant_counts_for_an_hour_when_its_question_fails() {
    let (world, image) = pulled().await;
    world.registry.answers(
        &format!("HEAD {}", blob(&image)),
        StatusCode::INTERNAL_SERVER_ERROR,
    );
    world.let_time_pass(MINUTES);
    assert_eq!(
        world.get(&blob(&image), Some(&ann())).await.status,
        StatusCode::OK
    );
    world.let_time_pass(HOURS);
    let got = world.get(&blob(&image), Some(&ann())).await;
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_registry_that_answers_5xx_to_everything_is_unreachable() {
    let (world, image) = pulled().await;
    world.let_time_pass(HOURS);
    world.registry.refuses_with(StatusCode::SERVICE_UNAVAILABLE);
    let tag = world.head("/v2/a/manifests/v1", Some(&ann())).await;
    assert_eq!(tag.status, StatusCode::OK);
    assert!(tag.header("warning").starts_with("299 - \""), "{:?}", tag.headers);
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&ann())).await,
        StatusCode::OK
    );
    assert_eq!(
        world.registry.count("GET /v2/"),
        1 + world.registry.count("GET /v2/a/"),
        "one probe for all: {:?}",
        world.registry.requests()
    );
}

#[tokio::test]
async fn a_failed_tag_keeps_its_meaning_only_for_a_fresh_grant() {
    let (world, image) = pulled().await;
    world
        .registry
        .answers("HEAD /v2/a/manifests/v1", StatusCode::BAD_GATEWAY);
    let got = world.head("/v2/a/manifests/v1", Some(&ann())).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.header("docker-content-digest"), image.index.as_str());
    assert!(got.header("warning").starts_with("299 - \""), "{:?}", got.headers);
    let bob = basic("bob", "pw-bob");
    let other = world.head("/v2/a/manifests/v1", Some(&bob)).await;
    assert_eq!(other.status, StatusCode::BAD_GATEWAY);
    world.let_time_pass(MINUTES);
    let later = world.head("/v2/a/manifests/v1", Some(&ann())).await;
    assert_eq!(later.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_slow_tag_without_a_known_meaning_is_awaited() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let gate = world.registry.holds("HEAD /v2/a/manifests/v1");
    let opening = async {
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        gate.cancel();
    };
    let (status, ()) = tokio::join!(world.pull("a", &image, None), opening);
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn the_last_meaning_of_a_slow_tag_is_given_once_and_its_late_answer_counts() {
    let (world, old) = pulled().await;
    let new = world.registry.push("a", "new layer");
    let gate = world.registry.holds("HEAD /v2/a/manifests/v1");
    let ann = ann();
    let first = world.head("/v2/a/manifests/v1", Some(&ann)).await;
    assert_eq!(first.header("docker-content-digest"), old.index.as_str());
    assert!(!first.header("warning").is_empty());
    let opening = async {
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        gate.cancel();
    };
    let (second, ()) = tokio::join!(world.head("/v2/a/manifests/v1", Some(&ann)), opening);
    assert_eq!(second.header("docker-content-digest"), new.index.as_str());
    assert!(second.header("warning").is_empty());
    assert_eq!(
        world.registry.count("HEAD /v2/a/manifests/v1"),
        2,
        "it was joined"
    );
}

#[tokio::test]
async fn a_late_answer_is_recorded_and_not_repeated() {
    let (world, _) = pulled().await;
    let late = world.registry.push("a", "late layer");
    let gate = world.registry.holds("HEAD /v2/a/manifests/v1");
    let ann = ann();
    let first = world.head("/v2/a/manifests/v1", Some(&ann)).await;
    assert!(!first.header("warning").is_empty());
    gate.cancel();
    let location = world.location("a").to_string();
    let recorded = || world.store.tag(&location, "v1").map(|record| record.digest);
    eventually("recorded", || recorded() == Some(late.index.to_string())).await;
    let newest = world.registry.push("a", "newest layer");
    let got = world.head("/v2/a/manifests/v1", Some(&ann)).await;
    assert_eq!(got.header("docker-content-digest"), newest.index.as_str());
}

#[tokio::test]
async fn a_token_for_another_repository_makes_nothing_private() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("open", "open layer");
    let nobody = world.bearer("open", None).await.expect("a token");
    assert_eq!(world.pull("open", &image, Some(&nobody)).await, StatusCode::OK);
    for digest in [&image.index, &image.manifest, &image.config, &image.layer] {
        world.say_public(&world.store, digest, "open");
    }
    let challenge = "Bearer realm=\"http://127.0.0.1/token\",error=\"insufficient_scope\"";
    world.registry.treats(
        "HEAD /v2/open/manifests/v1",
        Fate::Answered(
            StatusCode::UNAUTHORIZED,
            vec![("www-authenticate", challenge.to_owned())],
        ),
    );
    let refused = world.head("/v2/open/manifests/v1", Some(&nobody)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    world.registry.answers("HEAD /v2/open/", StatusCode::BAD_GATEWAY);
    let others = world.pull_by_digest("open", &image, None).await;
    assert_eq!(others, StatusCode::OK, "it is still public");
}

#[tokio::test]
async fn a_public_image_pulls_while_its_registry_answers_429_to_everything() {
    let (world, image) = pulled().await;
    for digest in [&image.index, &image.manifest, &image.config, &image.layer] {
        world.say_public(&world.store, digest, "a");
    }
    world
        .store
        .record_tag(&world.meant("a", &image.index, world.now()));
    world.registry.refuses_with(StatusCode::TOO_MANY_REQUESTS);
    for _ in 0..2 {
        assert_eq!(world.pull("a", &image, None).await, StatusCode::OK);
    }
    let private = world.head("/v2/b/manifests/v1", None).await;
    assert_eq!(private.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_image_that_anonymous_callers_are_refused_is_not_public_any_more() {
    let (world, image) = pulled().await;
    world.say_public(&world.store, &image.layer, "a");
    assert_eq!(world.get(&blob(&image), None).await.status, StatusCode::OK);
    world.let_time_pass(Duration::from_secs(7 * 3_600));
    world.registry.refuses_with(StatusCode::FORBIDDEN);
    let refused = world.get(&blob(&image), None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    world.stop_registry().await;
    let offline = world.get(&blob(&image), None).await;
    assert_eq!(offline.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_refused_account_still_reads_what_is_public() {
    let (world, image) = pulled().await;
    world.registry.refuses_with(StatusCode::FORBIDDEN);
    let tag = world.head("/v2/a/manifests/v1", Some(&ann())).await;
    assert_eq!(tag.status, StatusCode::FORBIDDEN);
    world.say_public(&world.store, &image.layer, "a");
    assert_eq!(
        world.get(&blob(&image), Some(&ann())).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_blob_whose_head_is_refused_is_asked_for_one_byte() {
    for status in [403, 404, 405, 501] {
        let world = FrontFixture::new(SignIn::None).await;
        let image = world.registry.push("a", "layer of a");
        let status = StatusCode::from_u16(status).expect("a status");
        world.registry.answers("HEAD /v2/a/blobs/", status);
        let got = world.get(&blob(&image), None).await;
        assert_eq!(got.status, StatusCode::OK, "{status}");
    }
}

#[tokio::test]
async fn a_storage_without_head_is_asked_for_one_byte_and_stays_reachable() {
    for status in [400, 403, 404, 405, 500, 501, 503] {
        let world = FrontFixture::new(SignIn::None).await;
        let image = world.registry.push("a", "layer of a");
        let status = StatusCode::from_u16(status).expect("a status");
        let refusing = Router::new().fallback(move || async move { status });
        let storage = serve(refusing, &world.running).await;
        let place = ("location", format!("http://{storage}/bucket"));
        world.registry.treats(
            "HEAD /v2/a/blobs/",
            Fate::Answered(StatusCode::TEMPORARY_REDIRECT, vec![place]),
        );
        let got = world.get(&blob(&image), None).await;
        assert_eq!(got.status, StatusCode::OK, "{status}");
        assert_eq!(world.pull("a", &image, None).await, StatusCode::OK, "{status}");
    }
}

#[tokio::test]
async fn a_web_page_is_no_grant_for_a_blob() {
    let world = FrontFixture::new(SignIn::None).await;
    let page = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("content-length", "0".to_owned()),
    ];
    for method in ["GET", "HEAD"] {
        world.registry.treats(
            &format!("{method} /v2/portal/"),
            Fate::Answered(StatusCode::OK, page.clone()),
        );
    }
    let unknown = format!("/v2/portal/blobs/{}", oci::Digest::of(b"nobody has it"));
    for got in [world.head(&unknown, None).await, world.get(&unknown, None).await] {
        assert_eq!(got.status, StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn a_manifest_is_granted_by_its_digest_or_its_hash() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let other = oci::Digest::of(b"another").to_string();
    let named = vec![
        ("docker-content-digest", other),
        ("content-type", super::support::INDEX.to_owned()),
    ];
    let path = format!("/v2/a/manifests/{}", image.index);
    world.registry.treats(
        &format!("HEAD {path}"),
        Fate::Answered(StatusCode::OK, named.clone()),
    );
    let got = world.head(&path, None).await;
    assert_eq!(got.status, StatusCode::OK, "its bytes are the right ones");
    world.let_time_pass(HOURS);
    world
        .registry
        .treats(&format!("GET {path}"), Fate::Answered(StatusCode::OK, named));
    let got = world.head(&path, None).await;
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_token_server_s_429_and_single_5xx_go_to_their_caller() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    world.registry.treats("POST /token", rate_limited(7));
    assert_eq!(world.bearer("a", ANN).await, Err(StatusCode::TOO_MANY_REQUESTS));
    world
        .registry
        .answers("POST /token", StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        world.bearer("a", ANN).await,
        Err(StatusCode::BAD_GATEWAY),
        "no token of our own"
    );
}

#[tokio::test]
async fn a_local_token_uses_kept_grants_while_only_the_token_server_is_unreachable() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    for method in ["GET", "POST"] {
        world
            .registry
            .answers(&format!("{method} /token"), StatusCode::SERVICE_UNAVAILABLE);
    }
    let local = world.bearer("a", ANN).await.expect("a token of the peer's own");
    world.let_time_pass(HOURS);
    assert_eq!(world.pull("a", &image, Some(&local)).await, StatusCode::OK);
    let shown = world.registry.authorizations();
    assert!(!shown.iter().any(|value| value.contains("stoker-local")));
}

/// Breaks its first connection after the request, and gives a token on every other one.
async fn breaking_token_server(running: &process::Running) -> std::net::SocketAddr {
    let listener = process::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    running.spawn(async move {
        let body = r#"{"token":"t","expires_in":300}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 8_192];
            let _ = stream.read(&mut request).await;
            if number > 0 {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    address
}

#[tokio::test]
async fn a_token_request_is_repeated_after_a_broken_connection() {
    for account in [ANN, None] {
        let world = FrontFixture::new(SignIn::Bearer).await;
        let server = breaking_token_server(&world.running).await;
        let challenge = format!("Bearer realm=\"http://{server}/token\",service=\"fake\"");
        world.registry.treats(
            "HEAD /v2/a/",
            Fate::Answered(StatusCode::UNAUTHORIZED, vec![("www-authenticate", challenge)]),
        );
        assert_eq!(world.bearer("a", account).await, Ok("Bearer t".to_owned()));
    }
}

#[tokio::test]
async fn a_barred_image_is_never_the_last_meaning_of_a_tag() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    world.registry.is_a_harbor();
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    world.say_public(&world.store, &image.index, "a");
    world.registry.bars_images(true);
    let barred = world.get("/v2/a/manifests/v1", Some(&token)).await;
    assert_eq!(barred.status, StatusCode::PRECONDITION_FAILED);
    for method in ["GET", "HEAD"] {
        world.registry.answers(
            &format!("{method} /v2/a/manifests/v1"),
            StatusCode::INTERNAL_SERVER_ERROR,
        );
    }
    let got = world.get("/v2/a/manifests/v1", Some(&token)).await;
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
    let head = world.head("/v2/a/manifests/v1", Some(&token)).await;
    assert_eq!(head.status, StatusCode::BAD_GATEWAY);
}
