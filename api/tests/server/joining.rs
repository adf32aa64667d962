//! How peers join, and what a certificate is worth.

use api::tokens::Scope;
use reqwest::Method;
use serde_json::json;
use wire::{CallError, Role, TakeRequest};

use crate::seed::{Key, Member, hello_of, join, request};
use crate::world::{Answer, World};

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

fn refused(outcome: Result<wire::Joined, CallError>) -> String {
    match outcome {
        Err(CallError::Refused(text) | CallError::Busy(text) | CallError::Answered { text, .. }) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_token_decides_role_and_cluster() {
    let world = World::start().await;
    for (role, cluster) in [(Role::Seed, "default"), (Role::Node, "edge-7")] {
        let member = Member::of(&world, role, cluster).await;
        let identity = member.identity();
        assert_eq!((identity.role, identity.cluster.as_str()), (role, cluster));
    }
}

#[tokio::test]
async fn a_token_admits_as_many_as_it_says_and_the_same_key_is_the_same_peer() {
    let world = World::start().await;
    let (_, token) = world.join_token_for(&json!({"scope": "node", "joins": 2})).await;
    let key = Key::new();
    let first = Member::with(&world, &token, &key).await.identity();
    let again = Member::with(&world, &token, &key).await.identity();
    assert_eq!(first, again, "a lost response uses no join");
    let second = Member::with(&world, &token, &Key::new()).await.identity();
    assert_ne!(first.peer, second.peer);
    let used_up = join(&world, &request(&world, &token, &Key::new())).await;
    insta::assert_snapshot!(refused(used_up), @"The join token is used up: all of its 2 joins are done; make another one with `stoker token create --scope node`.");
    let admin = world.token([Scope::Admin]).await.text;
    let listed = world.get("/api/v1/join-tokens", &admin).await.json();
    let listed = &listed["join_tokens"][0];
    assert_eq!((&listed["joined"], &listed["joins_left"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn tokens_that_ended_or_are_of_another_manager_say_what_to_do() {
    let world = World::start().await;
    let (id, revoked) = world.join_token_for(&json!({"scope": "node"})).await;
    let admin = world.token([Scope::Admin]).await.text;
    let revoke = world.ask(Method::DELETE, &format!("/api/v1/join-tokens/{id}"), &admin);
    assert_eq!(Answer::of(revoke).await.status, 204);
    let (_, expired) = world
        .join_token_for(&json!({"scope": "seed", "expires": "1m"}))
        .await;
    world.clock.advance(MINUTE_MS);
    let (_, good) = world.join_token_for(&json!({"scope": "node"})).await;
    let wrong_secret = {
        let mut parts: Vec<&str> = good.split('.').collect();
        parts[2] = "wrong";
        parts.join(".")
    };
    for (token, says) in [
        (&revoked, "revoked"),
        (&expired, "expired"),
        (&wrong_secret, "no such join token"),
    ] {
        let told = refused(join(&world, &request(&world, token, &Key::new())).await);
        assert!(told.contains(says) && told.contains("token create"), "{told}");
    }
    let elsewhere = World::start().await;
    let (_, foreign) = elsewhere.join_token_for(&json!({"scope": "node"})).await;
    let handshake = join(&world, &request(&world, &foreign, &Key::new())).await;
    assert!(
        matches!(handshake, Err(CallError::Unreachable(_))),
        "{handshake:?}"
    );
    // A client that does not verify the server's certificate gets the manager's own refusal.
    let (believing, mut asked) = (good.clone(), request(&world, &foreign, &Key::new()));
    let http = process::http::curious_client().expect("a client");
    asked.token = wire::SecretText::new(foreign);
    let answer = Answer::of(
        http.post(format!("{}/peer/v1/join", world.peer_url()))
            .json(&asked),
    )
    .await;
    insta::assert_snapshot!(answer.problem(403), @"The join token is of another manager: make one here with `stoker token create --scope node`.");
    Member::with(&world, &believing, &Key::new()).await;
}

#[tokio::test]
async fn a_clock_that_is_off_by_a_day_is_refused_and_uses_no_join() {
    let world = World::start().await;
    let (_, token) = world.join_token_for(&json!({"scope": "node", "joins": 1})).await;
    for off in [-DAY_MS, DAY_MS] {
        let mut asked = request(&world, &token, &Key::new());
        asked.clock_unix_ms += off;
        let told = refused(join(&world, &asked).await);
        assert!(told.contains("clock"), "{told}");
    }
    Member::with(&world, &token, &Key::new()).await;
}

#[tokio::test]
async fn a_peer_comes_back_under_its_uuid_only_by_a_token_that_names_it() {
    let world = World::start().await;
    let lost = Member::of(&world, Role::Seed, "default").await.identity();
    let body = json!({"scope": "seed", "peer": lost.peer});
    let (_, token) = world.join_token_for(&body).await;
    assert_eq!(Member::with(&world, &token, &Key::new()).await.identity(), lost);
    let used_up = join(&world, &request(&world, &token, &Key::new())).await;
    insta::assert_snapshot!(refused(used_up), @"The join token is used up: all of its 1 joins are done; make another one with `stoker token create --scope seed`.");
}

#[tokio::test]
async fn joins_and_clusters_and_live_peers_are_bounded() {
    let limits = preheat::Limits {
        joins_a_minute: 3,
        clusters: 2,
        live_peers: 1,
        ..preheat::Limits::default()
    };
    let world = World::with_limits(limits).await;
    let (_, slow) = world
        .join_token_for(&json!({"scope": "node", "per_minute": 1}))
        .await;
    let first = Member::with(&world, &slow, &Key::new()).await;
    let too_fast = join(&world, &request(&world, &slow, &Key::new())).await;
    assert!(matches!(too_fast, Err(CallError::Busy(_))), "{too_fast:?}");
    let (_, fast) = world.join_token_for(&json!({"scope": "node"})).await;
    let second = Member::with(&world, &fast, &Key::new()).await;
    Member::with(&world, &fast, &Key::new()).await;
    let too_fast = join(&world, &request(&world, &fast, &Key::new())).await;
    assert!(matches!(too_fast, Err(CallError::Busy(_))), "{too_fast:?}");
    world.clock.advance(MINUTE_MS + 1);
    Member::with(&world, &fast, &Key::new()).await;

    world.join_token(Role::Node, "edge").await;
    let admin = world.token([Scope::Admin]).await.text;
    let body = json!({"scope": "node", "cluster": "one-too-many"});
    let full = world.post("/api/v1/join-tokens", &admin, &body).await;
    insta::assert_snapshot!(full.problem(409), @"this manager has 2 clusters and takes no more: join one of them (see `stoker clusters`).");

    first.hello("first").await;
    first.hello("first again").await;
    let refused = second.manager.hello(&hello_of("second")).await;
    let Err(CallError::Answered { text, .. }) = refused else {
        panic!("{refused:?}");
    };
    insta::assert_snapshot!(text, @"1 peers have a session with this manager, and it takes no more: remove some with `stoker peers remove`.");
}

#[tokio::test]
async fn an_address_that_tries_to_join_too_often_waits_for_the_next_minute() {
    let world = World::start().await;
    let (_, token) = world.join_token_for(&json!({"scope": "node"})).await;
    let (mut guess, right) = (
        request(&world, &token, &Key::new()),
        request(&world, &token, &Key::new()),
    );
    guess.token = wire::SecretText::new(guessed(&token));
    try_until_busy(&world, &guess).await;
    refused(join(&world, &right).await);
    world.clock.advance(MINUTE_MS + 1);
    join(&world, &request(&world, &token, &Key::new()))
        .await
        .expect("joined");
}

/// The token with another secret.
fn guessed(token: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[2] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    parts.join(".")
}

/// Joins with a wrong secret until the manager limits the attempts.
async fn try_until_busy(world: &World, guess: &wire::JoinRequest) {
    for _ in 0..2_000 {
        match join(world, guess).await {
            Err(CallError::Refused(_)) => {}
            Err(CallError::Busy(_)) => return,
            other => panic!("{other:?}"),
        }
    }
    panic!("the manager answered 2,000 guesses");
}

#[tokio::test]
async fn invalid_requests_for_join_tokens_are_422() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    for body in [
        json!({"scope": "peer"}),
        json!({"scope": "admin"}),
        json!({"scope": "node", "cluster": "a/b"}),
        json!({"scope": "node", "expires": "soon"}),
        json!({"scope": "node", "per_minute": 0}),
        json!({"scope": "node", "joins": 2, "peer": uuid::Uuid::nil()}),
    ] {
        world
            .post("/api/v1/join-tokens", &admin, &body)
            .await
            .problem(422);
    }
    let of_peers = json!({"name": "peers", "scopes": ["peer"]});
    let told = world.post("/api/v1/tokens", &admin, &of_peers).await.problem(422);
    insta::assert_snapshot!(told, @r#"`scopes`: "peer" is no scope of a caller: peers join with a token of their own, `stoker token create --scope node` or `--scope seed`."#);
}

#[tokio::test]
async fn an_old_peer_gets_the_commands_to_join() {
    let world = World::start().await;
    let token = world.token([Scope::Read]).await.text;
    let old = json!({"wire_version": 1, "peer": uuid::Uuid::new_v4(), "name": "old", "cluster": "default", "role": "node"});
    let told = world.post("/peer/v1/sessions", &token, &old).await.problem(426);
    for part in ["token create", "--join-token-file", "https://"] {
        assert!(told.contains(part), "{told}");
    }
    let work = "/peer/v1/sessions/4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b/work";
    world.post(work, &token, &json!({})).await.problem(426);
}

#[tokio::test]
async fn without_a_certificate_only_the_join_route_answers() {
    let world = World::start().await;
    let http = process::http::curious_client().expect("a client");
    let session = "4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b";
    for (method, path) in [
        (Method::POST, "/peer/v1/sessions".to_owned()),
        (Method::POST, "/peer/v1/renew".to_owned()),
        (Method::POST, format!("/peer/v1/sessions/{session}/work")),
        (Method::POST, format!("/peer/v1/sessions/{session}/progress")),
        (Method::POST, format!("/peer/v1/sessions/{session}/settle")),
        (Method::POST, format!("/peer/v1/sessions/{session}/holdings")),
        (
            Method::POST,
            format!("/peer/v1/sessions/{session}/answers/{session}"),
        ),
        (Method::GET, format!("/peer/v1/sessions/{session}/credentials/c")),
        (
            Method::GET,
            format!("/peer/v1/sessions/{session}/parents/sha256:0"),
        ),
    ] {
        let url = format!("{}{path}", world.peer_url());
        let asked = http.request(method, url).json(&json!({}));
        assert!(Answer::of(asked).await.problem(401).contains("join"), "{path}");
    }
    let nonsense = http.post(format!("{}/peer/v1/join", world.peer_url()));
    Answer::of(nonsense.json(&json!({}))).await.problem(422);
    let large = json!({"token": "x".repeat(64 * 1024)});
    let large = http
        .post(format!("{}/peer/v1/join", world.peer_url()))
        .json(&large);
    Answer::of(large).await.problem(413);
}

#[tokio::test]
async fn another_authoritys_certificate_opens_nothing() {
    let (world, elsewhere) = (World::start().await, World::start().await);
    let key = Key::new();
    let token = elsewhere.join_token(Role::Seed, "default").await;
    let mut foreign = Member::with(&elsewhere, &token, &key).await.joined;
    let ours = Member::of(&world, Role::Node, "default").await.joined;
    // It calls our manager under our authority, and shows the other's certificate.
    foreign.ca_pem = ours.ca_pem;
    let stranger = Member::showing(&world, foreign, &key);
    let hello = stranger.manager.hello(&hello_of("stranger")).await;
    assert!(matches!(hello, Err(CallError::Unreachable(_))), "{hello:?}");
}

#[tokio::test]
async fn a_certificate_is_renewed_for_its_key_until_90_days_after_its_end() {
    let world = World::start().await;
    let key = Key::new();
    let token = world.join_token(Role::Node, "default").await;
    let member = Member::with(&world, &token, &key).await;
    member.hello("node").await;
    world.clock.advance(31 * DAY_MS);
    let expired = member.manager.hello(&hello_of("node")).await;
    assert!(
        matches!(&expired, Err(CallError::Refused(text)) if text.contains("renew") && text.contains("clock")),
        "{expired:?}"
    );
    let renewed = member.manager.renew().await.expect("renewed");
    // A connection that shows the old one is closed with its first refusal.
    member.shows(&renewed);
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(member.manager.hello(&hello_of("node")).await.is_ok());
    }
    assert!(
        answers.contains(&true),
        "the same client never showed the new certificate"
    );
    let renewed = Member::showing(&world, renewed, &key);
    assert_eq!(renewed.identity(), member.identity());
    renewed.hello("node").await;
    world.clock.advance(121 * DAY_MS);
    let over = renewed.manager.renew().await;
    assert!(
        matches!(&over, Err(CallError::Refused(text)) if text.contains("join anew")),
        "{over:?}"
    );
}

#[tokio::test]
async fn a_removed_peer_is_refused_at_once_and_all_others_learn_it() {
    let world = World::start().await;
    let (token_id, token) = world.join_token_for(&json!({"scope": "node", "joins": 5})).await;
    let removed = Member::with(&world, &token, &Key::new()).await;
    let session = removed.hello("gone").await.session;
    let other = Member::of(&world, Role::Seed, "default").await;
    let welcome = other.hello("other").await;
    assert_eq!(list(&other, &welcome.removals).number, 0);
    let waiting = TakeRequest {
        at_most: 1,
        wait_ms: 20_000,
        neighbourhood_version: welcome.neighbourhood.version.clone(),
        working_on: Vec::new(),
        images: None,
        removals: 0,
    };
    let polling = other.manager.take(welcome.session, &waiting);
    let remove = async {
        let admin = world.token([Scope::Admin]).await.text;
        let path = format!("/api/v1/peers/{}?with_token=true", removed.identity().peer);
        Answer::of(world.ask(Method::DELETE, &path, &admin)).await
    };
    let (polled, answer) = tokio::join!(polling, remove);
    assert_eq!(answer.json()["revoked_token"], json!(token_id), "{}", answer.text);
    let told = polled.expect("an answer").removals.expect("a list");
    let told = list(&other, &told);
    assert!(told.names(removed.identity().peer) && told.number == 1);
    // On the connection that it has.
    let hello = removed.manager.hello(&hello_of("gone")).await;
    assert!(matches!(&hello, Err(CallError::Refused(text)) if text.contains("removed")));
    let poll = removed.manager.take(session, &waiting).await;
    assert!(matches!(poll, Err(CallError::Refused(_))), "{poll:?}");
    let with_its_key = refused(join(&world, &request(&world, &token, removed.key())).await);
    assert!(
        with_its_key.contains("revoked") || with_its_key.contains("removed"),
        "{with_its_key}"
    );
    let renew = removed.manager.renew().await;
    assert!(matches!(renew, Err(CallError::Refused(_))), "{renew:?}");
    let told = refused(join(&world, &request(&world, &token, &Key::new())).await);
    assert!(told.contains("revoked"), "{told}");
    let reader = world.token([Scope::Read]).await.text;
    let peers = world.get("/api/v1/peers", &reader).await.json();
    let listed = peers["peers"].as_array().expect("peers").len();
    assert_eq!(listed, 1, "a removed peer is not listed any more: {peers}");
    let report = wire::ProgressReport::default();
    let progress = other
        .manager
        .progress(welcome.session, &report)
        .await
        .expect("heard");
    assert!(progress.removals.is_some(), "the heartbeat carries it too");
}

fn list(member: &Member, signed: &wire::Signed<wire::RemovalList>) -> wire::RemovalList {
    signed
        .verify(&member.joined.signing_key)
        .expect("signed by the manager")
}

#[tokio::test]
async fn a_peer_that_never_was_cannot_be_removed() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    for (path, status) in [
        ("/api/v1/peers/4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b", 404),
        ("/api/v1/peers/node-1", 404),
    ] {
        Answer::of(world.ask(Method::DELETE, path, &admin))
            .await
            .problem(status);
    }
}
