//! Access to `share`, over real TLS.

use std::time::Duration;

use process::{Running, bind, serve_mutual};
use wire::Role;

use super::*;
use crate::membership::CertificateError;
use crate::membership::tests::{Authority, JoinedPeer};

struct Door {
    url: String,
    authority: Authority,
    seed: JoinedPeer,
    running: Running,
    _dir: tempfile::TempDir,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.running.stopping().cancel();
    }
}

async fn door(body: &bytes::Bytes) -> Door {
    let authority = Authority::new();
    let seed = authority.member(Role::Seed, "default");
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).expect("a store");
    let sealed = seal(&store, body).await;
    store.record_delivered(&sealed.digest, &sample());
    let state = ShareState::new(store, unlimited(), &PeerMetrics::default());
    let routes = router(state, seed.membership.clone(), &process::metrics::Metrics::new());
    let listener = bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let running = Running::new();
    let acceptor = seed.membership.acceptor().expect("an acceptor");
    serve_mutual(listener, routes, &running, &acceptor);
    Door {
        url,
        authority,
        seed,
        running,
        _dir: dir,
    }
}

impl Door {
    async fn ask(&self, http: &reqwest::Client, digest: &Digest) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}/share/v1/objects/{digest}", self.url);
        let request = http.get(url).header(LOCATION_HEADER, sample().to_string());
        request.timeout(Duration::from_secs(30)).send().await
    }

    async fn status(&self, member: &JoinedPeer, digest: &Digest) -> u16 {
        let http = member.membership.to_peers().expect("a client");
        self.ask(&http, digest)
            .await
            .expect("an answer")
            .status()
            .as_u16()
    }
}

#[tokio::test]
async fn a_peer_of_the_cluster_is_served() {
    let body = bytes(10);
    let door = door(&body).await;
    let node = door.authority.member(Role::Node, "default");
    let http = node.membership.to_peers().expect("a client");
    let answer = door.ask(&http, &Digest::of(&body)).await.expect("an answer");
    assert_eq!(answer.bytes().await.expect("bytes"), body);
}

#[tokio::test]
async fn a_caller_without_our_authoritys_certificate_gets_no_response() {
    let body = bytes(10);
    let (door, digest) = (door(&body).await, Digest::of(&body));
    let stranger = Authority::new().member(Role::Seed, "default");
    let http = stranger.membership.calling_peers_of(&door.seed.membership);
    assert!(door.ask(&http, &digest).await.is_err(), "another authority");
    let bare = process::http::curious_client().expect("a client");
    assert!(door.ask(&bare, &digest).await.is_err(), "no certificate");
    let plain = format!("{}/share/v1/objects/{digest}", door.url.replace("https", "http"));
    assert!(bare.get(plain).send().await.is_err(), "no TLS");
}

#[tokio::test]
async fn another_clusters_peer_is_refused_with_a_text() {
    let body = bytes(10);
    let (door, digest) = (door(&body).await, Digest::of(&body));
    let elsewhere = door.authority.member(Role::Seed, "elsewhere");
    let http = elsewhere.membership.judging(std::sync::Arc::new(|_| Ok(())));
    let refused = door.ask(&http, &digest).await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 401);
    let text = refused.text().await.expect("a text");
    let why = CertificateError::OtherCluster {
        theirs: "elsewhere".to_owned(),
        ours: "default".to_owned(),
    };
    assert_eq!(text, format!("{why}\n"));
}

#[tokio::test]
async fn a_server_of_another_cluster_is_not_called() {
    let body = bytes(10);
    let (door, digest) = (door(&body).await, Digest::of(&body));
    let elsewhere = door.authority.member(Role::Node, "elsewhere");
    let http = elsewhere.membership.to_peers().expect("a client");
    let error = door.ask(&http, &digest).await.expect_err("not called");
    let text = format!("{error:?}");
    assert!(text.contains("elsewhere"), "{text}");
}

#[tokio::test]
async fn a_node_is_never_taken_for_a_seed() {
    let body = bytes(10);
    let door = door(&body).await;
    let node = door.authority.member(Role::Node, "default");
    let other = door.authority.member(Role::Node, "default");
    let (listener, running) = (bind("127.0.0.1:0").await.expect("a port"), Running::new());
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let acceptor = other.membership.acceptor().expect("an acceptor");
    serve_mutual(listener, axum::Router::new(), &running, &acceptor);
    let as_seed = node
        .membership
        .to_seeds()
        .expect("a client")
        .get(&url)
        .send()
        .await;
    assert!(as_seed.is_err());
    let as_peer = node
        .membership
        .to_peers()
        .expect("a client")
        .get(&url)
        .send()
        .await;
    assert_eq!(as_peer.expect("an answer").status().as_u16(), 404);
}

#[tokio::test]
async fn a_removed_peer_is_refused_on_its_open_connection() {
    let body = bytes(10);
    let (door, digest) = (door(&body).await, Digest::of(&body));
    let (node, other) = (
        door.authority.member(Role::Node, "default"),
        door.authority.member(Role::Node, "default"),
    );
    let http = node.membership.to_peers().expect("a client");
    let first = door.ask(&http, &digest).await.expect("an answer");
    assert_eq!(first.status().as_u16(), 200);
    first
        .bytes()
        .await
        .expect("read to its end, so that the connection is used again");
    let removals = door.authority.removals(1, &[node.peer()]);
    door.seed.membership.learn_removals(removals);
    let second = door.ask(&http, &digest).await.expect("an answer");
    assert_eq!(second.status().as_u16(), 401);
    let why = CertificateError::Removed(node.peer());
    assert_eq!(second.text().await.expect("a text"), format!("{why}\n"));
    assert_eq!(door.status(&other, &digest).await, 200);
}

#[tokio::test]
async fn a_running_response_to_a_removed_peer_is_cut() {
    // More than all buffers between the two hold.
    let body = bytes(64 * CHUNK);
    let (door, digest) = (door(&body).await, Digest::of(&body));
    let node = door.authority.member(Role::Node, "default");
    let http = node.membership.to_peers().expect("a client");
    let mut answer = door.ask(&http, &digest).await.expect("an answer");
    answer.chunk().await.expect("a first piece").expect("not the end");
    let removals = door.authority.removals(1, &[node.peer()]);
    door.seed.membership.learn_removals(removals);
    let mut got = 0;
    let broke = loop {
        match answer.chunk().await {
            Ok(Some(bytes)) => got += bytes.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broke, "all {got} bytes came");
}

#[tokio::test]
async fn the_dates_of_a_certificate_are_judged_with_our_clock() {
    let body = bytes(10);
    let (door, digest) = (door(&body).await, Digest::of(&body));
    let node = door.authority.member(Role::Node, "default");
    let judge: process::mutual::Judge = std::sync::Arc::new(|_| Ok(()));
    let http = node.membership.judging(judge);
    door.authority.set_clock(1_800_000_000 + 29 * 86_400);
    assert_eq!(
        door.ask(&http, &digest)
            .await
            .expect("an answer")
            .status()
            .as_u16(),
        200
    );
    let too_late = 1_800_000_000 + 31 * 86_400;
    door.authority.set_clock(too_late);
    let refused = door.ask(&http, &digest).await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 401);
    let text = refused.text().await.expect("a text");
    assert!(text.contains(&too_late.to_string()), "{text}");
}
