//! Tags and referrers through the front: the registry's answer to this caller, or an error.

use http::{Method, StatusCode};

use super::support::{Fate, FrontFixture, SignIn};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ANN: Option<(&str, &str)> = Some(("ann", "pw-ann"));

fn paths() -> [String; 2] {
    ["/v2/a/tags/list".to_owned(), format!("/v2/a/referrers/{DIGEST}")]
}

#[tokio::test]
async fn a_list_is_the_registrys_with_its_headers() {
    let world = FrontFixture::new(SignIn::None).await;
    let referrers = format!("/v2/a/referrers/{DIGEST}");
    let headers = vec![
        (
            "content-type",
            "application/vnd.oci.image.index.v1+json".to_owned(),
        ),
        ("oci-filters-applied", "artifactType".to_owned()),
        ("link", format!("<{referrers}?last=x>; rel=\"next\"")),
        ("set-cookie", "a=b".to_owned()),
    ];
    let fate = Fate::Answered(StatusCode::OK, headers);
    world.registry.treats(&format!("GET {referrers}"), fate);
    let got = world.get(&format!("{referrers}?artifactType=a%2Fb"), None).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(
        got.header("content-type"),
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(got.header("oci-filters-applied"), "artifactType");
    assert_eq!(got.header("oci-namespace"), world.registry_name);
    assert_eq!(got.header("set-cookie"), "");
    let next = got.header("link");
    assert!(next.starts_with(&format!("<{referrers}?last=x&ns=")), "{next}");
    // By the path form, the next page has the registry in its path.
    let named = FrontFixture::in_path(&world.registry_name);
    let by_path = world.bare(Method::GET, &format!("/v2/{named}/a/referrers/{DIGEST}"));
    let by_path = world.send(by_path).await;
    assert_eq!(
        by_path.header("link"),
        format!("</v2/{named}/a/referrers/{DIGEST}?last=x>; rel=\"next\"")
    );
}

#[tokio::test]
async fn a_list_is_for_callers_who_may_read_it_at_the_registry() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    world.registry.push("a", "layer of a");
    for path in paths() {
        let line = format!("GET {path}");
        let challenged = world.get(&path, None).await;
        assert_eq!(challenged.status, StatusCode::UNAUTHORIZED);
        let token = world.sign_in(challenged.challenge(), ANN).await.expect("a token");
        world.get(&path, Some(&token)).await;
        assert_eq!(world.registry.count(&line), 2, "the registry decides each time");
        let shown = world.registry.authorizations();
        assert_eq!(shown.last(), Some(&token), "with the caller's own credential");
    }
}

#[tokio::test]
async fn a_404_is_passed_on_only_if_it_is_the_registrys() {
    let mut world = FrontFixture::new(SignIn::None).await;
    for path in paths() {
        for status in [404, 400, 403, 405, 501] {
            let status = StatusCode::from_u16(status).expect("a status");
            world.registry.answers(&format!("GET {path}"), status);
            assert_eq!(world.get(&path, None).await.status, status);
        }
        for (status, passed) in [(500, 502), (503, 503), (418, 502), (429, 429)] {
            let status = StatusCode::from_u16(status).expect("a status");
            world.registry.answers(&format!("GET {path}"), status);
            let query = format!("{path}?status={status}");
            assert_eq!(world.get(&query, None).await.status.as_u16(), passed, "{status}");
        }
    }
    world.stop_registry().await;
    for path in paths() {
        assert_eq!(
            world.get(&format!("{path}?n=1"), None).await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    let strange = world
        .send(world.request_at("evil.example.com", Method::GET, "/v2/a/tags/list"))
        .await;
    assert_eq!(strange.status, StatusCode::NOT_FOUND);
    world.restart_front().await;
}

#[tokio::test]
async fn a_subject_that_is_no_digest_is_a_bad_request_and_no_list_is_written() {
    let world = FrontFixture::new(SignIn::None).await;
    let got = world.get("/v2/a/referrers/x", None).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    for path in paths() {
        let put = world.send(world.request(Method::PUT, &path)).await;
        assert_eq!(put.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert!(world.registry.requests().is_empty());
}
