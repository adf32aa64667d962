//! Who is let in where.

use api::AuthMode;
use api::tokens::{Lifetime, Scope};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, START_MS, World};

const MINUTE_MS: i64 = 60_000;
const ALL: [Scope; 3] = Scope::ALL;

/// Every route that needs a scope, and the scopes that open it.
const DOORS: [(&str, &str, &[Scope]); 21] = [
    ("POST", "/oapi/v1/jobs", &[Scope::Preheat, Scope::Admin]),
    (
        "GET",
        "/oapi/v1/jobs/1",
        &[Scope::Preheat, Scope::Read, Scope::Admin],
    ),
    ("GET", "/_ping", &[Scope::Preheat, Scope::Admin]),
    ("POST", "/preheats", &[Scope::Preheat, Scope::Admin]),
    ("GET", "/preheats/1", &[Scope::Preheat, Scope::Read, Scope::Admin]),
    ("GET", "/health", &[Scope::Preheat, Scope::Admin]),
    ("POST", "/registry/notifications", &[Scope::Preheat, Scope::Admin]),
    ("POST", "/hooks/harbor", &[Scope::Preheat, Scope::Admin]),
    ("POST", "/api/v1/preheats", &[Scope::Preheat, Scope::Admin]),
    ("GET", "/api/v1/preheats", &[Scope::Read, Scope::Admin]),
    (
        "GET",
        "/api/v1/preheats/1",
        &[Scope::Preheat, Scope::Read, Scope::Admin],
    ),
    ("GET", "/api/v1/preheats/1/objects", &[Scope::Read, Scope::Admin]),
    ("GET", "/api/v1/peers", &[Scope::Read, Scope::Admin]),
    ("GET", "/api/v1/clusters", &[Scope::Read, Scope::Admin]),
    ("POST", "/api/v1/tokens", &[Scope::Admin]),
    ("GET", "/api/v1/tokens", &[Scope::Admin]),
    ("DELETE", "/api/v1/tokens/x", &[Scope::Admin]),
    ("POST", "/api/v1/join-tokens", &[Scope::Admin]),
    ("GET", "/api/v1/join-tokens", &[Scope::Admin]),
    ("DELETE", "/api/v1/join-tokens/x", &[Scope::Admin]),
    (
        "DELETE",
        "/api/v1/peers/4f3c1c2e-7f5b-4c8e-9f0a-0d6f2f1f2a3b",
        &[Scope::Admin],
    ),
];

#[tokio::test]
async fn every_door_opens_to_its_scopes_only() {
    let world = World::start().await;
    let mut refused = Vec::new();
    for holder in ALL {
        let token = world.token([holder]).await.text;
        for (method, path, openers) in DOORS {
            let answer = knock(&world, method, path, Some(&token)).await;
            let is_open = answer.status != 403;
            let is_ours_to_poll = path.ends_with("s/1") && method == "GET" && holder == Scope::Preheat;
            assert_ne!(answer.status, 401, "{method} {path} with {holder}");
            // Job 1 does not exist, so it was not made by this token either.
            let should_open = openers.contains(&holder) && !is_ours_to_poll;
            assert_eq!(
                is_open, should_open,
                "{method} {path} with {holder}: {}",
                answer.text
            );
            if !is_open {
                refused.push(answer.problem(403));
            }
        }
    }
    assert!(
        refused
            .iter()
            .all(|detail| ALL.iter().any(|scope| detail.contains(&format!("`{scope}`"))))
    );
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_the_answer_is_always_the_same() {
    let world = World::start().await;
    let expired = world.token_for(ALL, "1m".parse().expect("a lifetime")).await.text;
    let revoked = world.token(ALL).await;
    preheat::tokens::revoke(&world.preheater, &revoked.id)
        .await
        .expect("revoked");
    world.clock.advance(31 * MINUTE_MS);
    let forged = forged(&revoked.text);
    let shown = [
        None,
        Some("junk"),
        Some(expired.as_str()),
        Some(&revoked.text),
        Some(&forged),
    ];
    let mut details = Vec::new();
    for (method, path, _) in DOORS {
        for token in shown {
            let answer = knock(&world, method, path, token).await;
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"stoker\"",
                "{method} {path}"
            );
            details.push(answer.problem(401));
        }
    }
    details.dedup();
    let [detail] = &details[..] else {
        panic!("the answers tell refusals apart: {details:?}")
    };
    assert!(detail.contains("OAUTH") && detail.contains("portal"), "{detail}");
}

#[tokio::test]
async fn health_needs_nothing_but_refuses_what_is_wrong() {
    let world = World::start().await;
    let good = world.token([Scope::Preheat]).await.text;
    assert_eq!(knock(&world, "GET", "/healthy", None).await.status, 200);
    assert_eq!(knock(&world, "GET", "/healthy", Some(&good)).await.status, 200);
    knock(&world, "GET", "/healthy", Some("wrong")).await.problem(401);
    for odd in ["Basic !!!", "Digest x", "", "Bearer"] {
        let request = world.http.get(world.url("/healthy")).header("authorization", odd);
        Answer::of(request).await.problem(401);
    }
}

#[tokio::test]
async fn basic_takes_the_token_as_password_under_any_name() {
    let world = World::start().await;
    let good = world.token([Scope::Read]).await.text;
    for name in ["alice", "stoker", "user", ""] {
        assert_eq!(basic(&world, name, &good).await.status, 200, "{name}");
    }
    basic(&world, &good, "").await.problem(401);
    basic(&world, "alice", "s3cret").await.problem(401);
}

#[tokio::test]
async fn what_harbors_portal_makes_of_basic_is_told_what_it_is_wherever_harbor_asks() {
    let world = World::start().await;
    let good = world.token([Scope::Preheat, Scope::Read]).await.text;
    let job = submit(&world, &good).await;
    // The portal's form with the token as password; which of its two fields goes out changes from call to call.
    for (user, password) in [("username", "alice"), ("password", good.as_str())] {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        for (method, path) in [
            (Method::GET, "/healthy".to_owned()),
            (Method::POST, "/oapi/v1/jobs".to_owned()),
            (Method::GET, format!("/oapi/v1/jobs/{job}")),
            (Method::GET, "/_ping".to_owned()),
            (Method::POST, "/preheats".to_owned()),
            (Method::GET, format!("/preheats/{job}")),
            (Method::GET, "/health".to_owned()),
            (Method::POST, "/registry/notifications".to_owned()),
        ] {
            let request = world.http.request(method, world.url(&path)).json(&json!({}));
            let detail = Answer::of(request.header("authorization", format!("Basic {pair}")))
                .await
                .problem(401);
            for told in ["portal", "OAUTH", "auth_info", "`username`"] {
                assert!(detail.contains(told), "{path}: {detail}");
            }
            assert!(!detail.contains(password), "{detail}");
        }
    }
}

#[tokio::test]
async fn without_authentication_everything_is_open_but_a_wrong_token_is_refused() {
    let world = World::with(AuthMode::None, Vec::new()).await;
    for (method, path, _) in DOORS {
        let status = knock(&world, method, path, None).await.status;
        assert!(status != 401 && status != 403, "{method} {path}: {status}");
        knock(&world, method, path, Some("wrong")).await.problem(401);
    }
}

#[tokio::test]
async fn a_revoked_token_may_poll_its_own_jobs_for_half_an_hour() {
    let world = World::start().await;
    let harbor = world.token([Scope::Preheat, Scope::Read]).await;
    let other = world.token([Scope::Preheat]).await.text;
    let mine = submit(&world, &harbor.text).await;
    let not_mine = submit(&world, &other).await;
    let admin = world.token([Scope::Admin]).await.text;
    let revoke = world.ask(Method::DELETE, &format!("/api/v1/tokens/{}", harbor.id), &admin);
    assert_eq!(Answer::of(revoke).await.status, 204);

    for door in ["/oapi/v1/jobs", "/api/v1/preheats"] {
        assert_eq!(
            world.get(&format!("{door}/{mine}"), &harbor.text).await.status,
            200
        );
        world
            .get(&format!("{door}/{not_mine}"), &harbor.text)
            .await
            .problem(401);
        world.get(&format!("{door}/999"), &harbor.text).await.problem(401);
    }
    for door in [
        "/healthy",
        "/api/v1/preheats",
        &format!("/api/v1/preheats/{mine}/objects"),
        "/api/v1/peers",
    ] {
        world.get(door, &harbor.text).await.problem(401);
    }
    world
        .post("/oapi/v1/jobs", &harbor.text, &job())
        .await
        .problem(401);

    world.clock.advance(29 * MINUTE_MS);
    assert_eq!(
        world
            .get(&format!("/oapi/v1/jobs/{mine}"), &harbor.text)
            .await
            .status,
        200
    );
    world.clock.advance(2 * MINUTE_MS);
    world
        .get(&format!("/oapi/v1/jobs/{mine}"), &harbor.text)
        .await
        .problem(401);
}

#[tokio::test]
async fn an_expired_token_may_poll_its_own_jobs_for_half_an_hour() {
    let world = World::start().await;
    let lifetime: Lifetime = "10m".parse().expect("a lifetime");
    let token = world.token_for([Scope::Preheat], lifetime).await.text;
    let mine = submit(&world, &token).await;
    world.clock.advance(11 * MINUTE_MS);
    assert_eq!(
        world.get(&format!("/oapi/v1/jobs/{mine}"), &token).await.status,
        200
    );
    world.post("/oapi/v1/jobs", &token, &job()).await.problem(401);
    world.clock.advance(30 * MINUTE_MS);
    world
        .get(&format!("/oapi/v1/jobs/{mine}"), &token)
        .await
        .problem(401);
}

#[tokio::test]
async fn a_token_that_may_preheat_may_poll_what_it_asked_for_and_nothing_else() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let other = world.token([Scope::Preheat]).await.text;
    let mine = submit(&world, &token).await;
    assert_eq!(
        world.get(&format!("/oapi/v1/jobs/{mine}"), &token).await.status,
        200
    );
    world
        .get(&format!("/oapi/v1/jobs/{mine}"), &other)
        .await
        .problem(403);
}

#[tokio::test]
async fn a_token_that_was_never_written_down_is_refused() {
    let world = World::start().await;
    let elsewhere = World::start().await;
    let token = elsewhere.token(ALL).await.text;
    world.get("/healthy", &token).await.problem(401);
    // The same key, another database: signed by us and in nobody's list.
    let key = api::tokens::CallerKey::at(&world.folder.path().join("callers.key")).expect("a key");
    let wish = api::tokens::TokenWish {
        name: "stray".to_owned(),
        scopes: api::tokens::Scopes::all(),
        lifetime: Lifetime::default(),
    };
    let stray = api::tokens::create(&elsewhere.preheater, &key, wish, START_MS)
        .await
        .expect("a token");
    world.get("/healthy", stray.text.expose()).await.problem(401);
}

async fn knock(world: &World, method: &str, path: &str, token: Option<&str>) -> Answer {
    let method: Method = method.parse().expect("a method");
    let mut request = world.http.request(method.clone(), world.url(path));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if method == Method::POST {
        request = request.json(&json!({}));
    }
    Answer::of(request).await
}

async fn basic(world: &World, name: &str, password: &str) -> Answer {
    let pair = STANDARD.encode(format!("{name}:{password}"));
    let request = world
        .http
        .get(world.url("/healthy"))
        .header("authorization", format!("Basic {pair}"));
    Answer::of(request).await
}

fn job() -> serde_json::Value {
    json!({"type": "preheat", "args": {"type": "image", "url": "https://harbor.example.com/v2/a/b/manifests/1"}})
}

async fn submit(world: &World, token: &str) -> i64 {
    let answer = world.post("/oapi/v1/jobs", token, &job()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["id"].as_i64().expect("an id")
}

/// The same claims under another signature.
fn forged(token: &str) -> String {
    let (claims, signature) = token.rsplit_once('.').expect("a token");
    format!("{claims}.{}", signature.chars().rev().collect::<String>())
}
