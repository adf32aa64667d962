#![expect(
    clippy::cast_possible_truncation,
    reason = "tests run where a usize has 64 bits"
)]

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use oci::{Digest, Location};
use store::testing::Signer;
use store::{CHUNK, Store};
use tower::ServiceExt as _;
use wire::between_peers::LOCATION_HEADER;
use wire::{Role, TagRecord};

use super::{ShareState, router};
use crate::fetch::tests::support::{FetchFixture, Parent, bytes, seal, unlimited};
use crate::membership::tests::{Authority, JoinedPeer};
use crate::metrics::PeerMetrics;
use crate::source::ShareError;

mod doors;

struct Shared {
    state: ShareState,
    authority: Authority,
    ours: JoinedPeer,
    _dir: tempfile::TempDir,
}

async fn shared(body: &bytes::Bytes) -> Shared {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("a store");
    let sealed = seal(&store, body).await;
    store.record_delivered(&sealed.digest, &sample());
    let authority = Authority::new();
    Shared {
        state: ShareState::new(store, unlimited(), &PeerMetrics::default()),
        ours: authority.member(Role::Seed, "default"),
        authority,
        _dir: dir,
    }
}

impl Shared {
    async fn ask(&self, request: axum::http::request::Builder) -> Response<Body> {
        let caller = self.authority.member(Role::Node, "default");
        let request = request.header(LOCATION_HEADER, sample().to_string());
        self.send(request.extension(caller.shown())).await
    }

    async fn send(&self, request: axum::http::request::Builder) -> Response<Body> {
        let request = request.body(Body::empty()).expect("a request");
        let ours = self.ours.membership.clone();
        router(self.state.clone(), ours, &process::metrics::Metrics::new())
            .oneshot(request)
            .await
            .expect("an answer")
    }
}

fn nginx() -> Location {
    "https://registry.lan:5000/v2/library/nginx"
        .parse()
        .expect("a location")
}

fn sample() -> Location {
    "http://registry.lan/v2/library/sample"
        .parse()
        .expect("a location")
}

fn get(digest: &Digest) -> axum::http::request::Builder {
    Request::get(format!("/share/v1/objects/{digest}"))
}

async fn body_of(response: Response<Body>) -> bytes::Bytes {
    response.into_body().collect().await.expect("a body").to_bytes()
}

#[tokio::test]
async fn share_refuses_callers_that_are_no_peer_of_the_cluster() {
    let body = bytes(10);
    let digest = Digest::of(&body);
    let shared = shared(&body).await;
    let elsewhere = shared.authority.member(Role::Seed, "elsewhere");
    let refused = [
        shared.send(get(&digest)).await,
        shared
            .send(get(&digest).header("authorization", "Bearer x"))
            .await,
        shared.send(get(&Digest::of(b"not here"))).await,
        shared
            .send(Request::get("/share/v1/public?registry=r&repository=a&digest=x"))
            .await,
        shared.send(get(&digest).extension(elsewhere.shown())).await,
    ];
    for (number, response) in refused.into_iter().enumerate() {
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{number}");
    }
    assert_eq!(shared.ask(get(&digest)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_range_is_exactly_those_bytes() {
    let body = bytes(CHUNK + 10);
    let digest = Digest::of(&body);
    let shared = shared(&body).await;
    let size = body.len();
    for (asked, first, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes={CHUNK}-"), CHUNK as usize, size),
        ("bytes=-5".to_owned(), size - 5, size),
        ("bytes=7-99999999".to_owned(), 7, size),
    ] {
        let response = shared.ask(get(&digest).header("range", &asked)).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{asked}");
        let told = response.headers()["content-range"]
            .to_str()
            .expect("text")
            .to_owned();
        assert_eq!(told, format!("bytes {first}-{}/{size}", end - 1));
        assert_eq!(
            response.headers()["content-length"],
            (end - first).to_string().as_str()
        );
        assert!(body_of(response).await == body.slice(first..end), "{asked}");
    }
    let beyond = shared
        .ask(get(&digest).header("range", format!("bytes={size}-")))
        .await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    for ignored in ["bytes=5-4", "lines=1-2", "bytes=1-2,4-5"] {
        assert_eq!(
            shared.ask(get(&digest).header("range", ignored)).await.status(),
            StatusCode::OK,
            "{ignored}"
        );
    }
}

#[tokio::test]
async fn a_head_has_the_headers_of_a_get_between_peers() {
    let body = bytes(77);
    let digest = Digest::of(&body);
    let shared = shared(&body).await;
    let response = shared
        .ask(Request::head(format!("/share/v1/objects/{digest}")))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-length"], "77");
    assert_eq!(response.headers()["stoker-media-type"], "application/x");
    assert_eq!(response.headers()["stoker-kind"], "blob");
    assert!(body_of(response).await.is_empty());
}

#[tokio::test]
async fn an_incomplete_object_is_not_served() {
    let shared = shared(&bytes(1)).await;
    let body = bytes(2 * CHUNK);
    let digest = Digest::of(&body);
    let partial = shared.state.store.partial(&digest).await.expect("a partial");
    partial.append(body).await.expect("landed");
    assert_eq!(shared.ask(get(&digest)).await.status(), StatusCode::NOT_FOUND);
    let hostile = shared
        .ask(Request::get("/share/v1/objects/..%2F..%2Fetc%2Fpasswd"))
        .await;
    assert_eq!(hostile.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn peers_understand_each_other() {
    let world = FetchFixture::new().await;
    let body = bytes(CHUNK + 1);
    let digest = Digest::of(&body);
    let parent = Parent::holding(&world.around, &[&body]).await;
    let client = world.share_client();

    let object = client
        .object(&parent.url, &digest, world.around.location(), Some(5..9))
        .await
        .expect("an object");
    assert_eq!(object.size, CHUNK + 1);
    let got: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(object.bytes)
        .await
        .expect("bytes");
    assert_eq!(got.concat(), body[5..9]);
    let hashes = client.chunks(&parent.url, &digest, world.around.location()).await;
    assert_eq!(hashes.expect("hashes").size(), CHUNK + 1);
    let missing = client
        .object(
            &parent.url,
            &Digest::of(b"missing"),
            world.around.location(),
            None,
        )
        .await
        .err();
    assert_eq!(missing, Some(ShareError::NotHeld));

    let elsewhere = "http://registry.lan/v2/library/other"
        .parse()
        .expect("a location");
    for location in [&elsewhere, &nginx()] {
        let refused = client.object(&parent.url, &digest, location, None).await.err();
        assert_eq!(refused, Some(ShareError::NotHeld), "not delivered at {location}");
        let refused = client.chunks(&parent.url, &digest, location).await.err();
        assert_eq!(refused, Some(ShareError::NotHeld), "not delivered at {location}");
    }

    let record = TagRecord {
        location: nginx().to_string(),
        tag: "1.27".to_owned(),
        digest: digest.to_string(),
        media_type: "application/x".to_owned(),
        seen_unix_ms: 1,
    };
    let manager = Signer::of("default");
    let (signed, proof) = (manager.tag(&record), manager.public(&digest, &nginx(), 5));
    parent.store.record_signed_tag(&record, &signed);
    parent.store.record_public(&digest, &nginx(), 5, &proof);
    let tag = client.tag(&parent.url, &nginx(), "1.27").await;
    assert_eq!(tag, Ok(Some(signed)));
    assert_eq!(client.tag(&parent.url, &nginx(), "none").await, Ok(None));
    assert_eq!(client.tag(&parent.url, &elsewhere, "1.27").await, Ok(None));
    let public = client.public(&parent.url, &nginx(), &digest).await;
    assert_eq!(public, Ok(Some(proof)));
    assert_eq!(client.public(&parent.url, &elsewhere, &digest).await, Ok(None));
}

#[tokio::test]
async fn an_unsigned_tag_meaning_is_not_shared() {
    let world = FetchFixture::new().await;
    let parent = Parent::holding(&world.around, &[]).await;
    parent.store.record_tag(&TagRecord {
        location: nginx().to_string(),
        tag: "1.27".to_owned(),
        digest: Digest::of(b"own").to_string(),
        media_type: String::new(),
        seen_unix_ms: 1,
    });
    let tag = world.share_client().tag(&parent.url, &nginx(), "1.27").await;
    assert_eq!(tag, Ok(None));
}
