use http::{Method, StatusCode};

use super::support::{FrontFixture, INDEX, SignIn, basic};

#[tokio::test]
async fn the_root_says_version_two() {
    let world = FrontFixture::new(SignIn::None).await;
    let got = world.get("/v2/", Some("Bearer any")).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(got.body.expect("a body"), "{}");
}

#[tokio::test]
async fn a_probe_needs_no_credential() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let got = world.get("/healthz", None).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(world.registry.requests().is_empty());
}

#[tokio::test]
async fn other_paths_get_404_so_that_the_runtime_asks_the_registry() {
    let world = FrontFixture::new(SignIn::None).await;
    for path in [
        "/v2/_catalog",
        "/v2/a/tags/v1",
        "/v1/_ping",
        "/",
        "/v2/a/blobs/uploads/",
    ] {
        assert_eq!(
            world.get(path, None).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let got = world.send(world.request(Method::PUT, "/v2/a/manifests/v1")).await;
    assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(world.registry.requests().is_empty());
}

#[tokio::test]
async fn the_head_of_a_tag_fetches_nothing() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let head = world.head("/v2/a/manifests/v1", None).await;
    assert_eq!(head.header("docker-content-digest"), image.index.as_str());
    assert_eq!(head.header("content-type"), INDEX);
    assert_ne!(head.header("content-length"), "");
    assert_eq!(world.registry.count("GET "), 0);
}

#[tokio::test]
async fn a_head_has_the_headers_of_a_get() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    for cached in [false, true] {
        for path in [
            "/v2/a/manifests/v1".to_owned(),
            format!("/v2/a/manifests/{}", image.index),
            format!("/v2/a/blobs/{}", image.layer),
        ] {
            let head = world.head(&path, None).await;
            if !cached {
                continue;
            }
            let get = world.get(&path, None).await;
            assert_eq!(head.status, StatusCode::OK, "{path}");
            for name in [
                "content-length",
                "content-type",
                "docker-content-digest",
                "etag",
                "accept-ranges",
            ] {
                assert!(!head.header(name).is_empty(), "{path} has no {name}");
                assert_eq!(head.header(name), get.header(name), "{path} {name}");
            }
            let body = get.body.expect("a body");
            assert_eq!(head.header("content-length"), body.len().to_string());
            assert_eq!(
                head.header("docker-content-digest"),
                oci::Digest::of(&body).as_str()
            );
        }
        assert_eq!(world.pull("a", &image, None).await, StatusCode::OK);
    }
    let index = world.head("/v2/a/manifests/v1", None).await;
    assert_eq!(index.header("content-type"), INDEX);
}

#[tokio::test]
async fn a_range_is_exactly_those_bytes_from_the_registry_and_from_the_store() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world
        .registry
        .push("a", (0..=255_u8).cycle().take(3_000_000).collect::<Vec<u8>>());
    let size = image.layer_bytes.len();
    let path = format!("/v2/a/blobs/{}", image.layer);
    for (range, expected) in [
        ("bytes=5-9".to_owned(), 5..10),
        ("bytes=2999990-".to_owned(), size - 10..size),
        ("bytes=-7".to_owned(), size - 7..size),
        ("bytes=0-".to_owned(), 0..size),
    ] {
        let got = world
            .send(world.request(Method::GET, &path).header("range", &range))
            .await;
        assert_eq!(got.status, StatusCode::PARTIAL_CONTENT, "{range}");
        let told = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(got.header("content-range"), told);
        assert_eq!(got.header("content-length"), expected.len().to_string());
        assert!(
            got.body.expect("a body") == image.layer_bytes.slice(expected),
            "{range}"
        );
    }
    let beyond = world
        .send(
            world
                .request(Method::GET, &path)
                .header("range", format!("bytes={size}-")),
        )
        .await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    for whole in ["bytes=0-1,x", "bytes=x", "lines=1-2"] {
        let got = world
            .send(world.request(Method::GET, &path).header("range", whole))
            .await;
        assert_eq!(got.status, StatusCode::OK, "{whole}");
        assert_eq!(got.body.expect("a body").len(), size);
    }
    let other = world
        .request(Method::GET, &path)
        .header("range", "bytes=0-1")
        .header("if-range", "\"other\"");
    assert_eq!(world.send(other).await.status, StatusCode::OK);
    assert_eq!(
        world.registry.count(&format!("GET {path}")),
        1,
        "{:?}",
        world.registry.requests()
    );
}

#[tokio::test]
async fn a_wrong_layer_ends_as_a_broken_transfer() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", vec![7; 3_000_000]);
    world.registry.serves_wrong_bytes_of(&image.layer);
    let got = world.get(&format!("/v2/a/blobs/{}", image.layer), None).await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.header("content-length"), "3000000");
    assert!(got.body.is_none(), "a wrong layer came as a whole one");
    assert!(world.store.sealed(&image.layer).is_none());
}

#[tokio::test]
async fn a_wrong_manifest_is_not_served() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    world.registry.serves_wrong_bytes_of(&image.manifest);
    let got = world
        .get(&format!("/v2/a/manifests/{}", image.manifest), None)
        .await;
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn many_callers_of_one_layer_make_one_request() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", vec![9; 2_000_000]);
    let (path, ann) = (format!("/v2/a/blobs/{}", image.layer), basic("ann", "pw-ann"));
    let gets = (0..8).map(|_| world.get(&path, Some(&ann)));
    for got in futures_util::future::join_all(gets).await {
        assert_eq!(got.body.expect("a body").len(), 2_000_000);
    }
    assert_eq!(world.registry.count(&format!("GET {path}")), 1);
}

#[tokio::test]
async fn an_ended_credential_fails_only_its_own_caller() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let seed = world.add_seed().await;
    world.say_public(&seed, &image.layer, "a");
    let path = format!("/v2/a/blobs/{}", image.layer);
    let (wrong, right) = (basic("ann", "guessed"), basic("ann", "pw-ann"));
    let (refused, got) = tokio::join!(world.get(&path, Some(&wrong)), world.get(&path, Some(&right)));
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(got.body.expect("a body"), "layer of a");
    assert!(
        matches!(refused.status, StatusCode::OK | StatusCode::NOT_FOUND),
        "{}",
        refused.status
    );
}
