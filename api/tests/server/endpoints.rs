//! Endpoints with a token in their path: what they open, what they do not, and that only a hash of them is kept.

use api::AuthMode;
use api::RouteSettings;
use api::tokens::Scope;
use process::metrics::{Format, Metrics};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World};

const MINUTE_MS: i64 = 60_000;

fn preheat() -> Value {
    json!({"type": "image", "url": "https://harbor.example.com/v2/a/b/manifests/1"})
}

#[tokio::test]
async fn an_endpoint_is_made_once_and_its_token_is_listed_nowhere() {
    let route_settings = RouteSettings {
        public_url: Some("https://stoker.example.com/path".to_owned()),
        ..RouteSettings::default()
    };
    for (route_settings, base) in [
        (route_settings, "https://stoker.example.com/path/t/"),
        (RouteSettings::default(), "/t/"),
    ] {
        let world = World::with_route_settings(AuthMode::Tokens, Vec::new(), route_settings).await;
        let admin = world.token([Scope::Admin]).await.text;
        let wish = json!({"kind": "endpoint", "name": "harbor-2.11"});
        let made = world.post("/api/v1/tokens", &admin, &wish).await;
        assert_eq!(
            (made.status.as_u16(), made.header("cache-control")),
            (201, "no-store")
        );
        let made = made.json();
        let text = made["token"].as_str().expect("a token");
        assert_eq!(made["endpoint"], format!("{base}{text}"));
        assert_eq!(made["scopes"], json!(["preheat"]));
        // Harbor keeps an endpoint in 255 letters.
        assert!(made["endpoint"].as_str().is_some_and(|url| url.len() < 200));

        let list = world.get("/api/v1/tokens", &admin).await;
        assert!(!list.text.contains(text), "{}", list.text);
        let kinds: Vec<Value> = list.json()["tokens"]
            .as_array()
            .expect("tokens")
            .iter()
            .map(|token| token["kind"].clone())
            .collect();
        assert!(
            kinds.contains(&json!("endpoint")) && kinds.contains(&json!("caller")),
            "{kinds:?}"
        );
        assert_eq!(world.bare_get(&format!("/t/{text}/_ping")).await.status, 200);
    }
}

#[tokio::test]
async fn a_wish_for_an_endpoint_that_makes_no_sense_is_told_what_would() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    for (wish, told) in [
        (
            json!({"kind": "endpoint", "name": "x", "scopes": ["admin"]}),
            "leave `scopes` out",
        ),
        (json!({"kind": "endpoint", "name": ""}), "name"),
        (
            json!({"kind": "endpoint", "name": "x", "expires": "soon"}),
            "365d",
        ),
        (json!({"kind": "password", "name": "x"}), "\"endpoint\""),
    ] {
        let detail = world.post("/api/v1/tokens", &admin, &wish).await.problem(422);
        assert!(detail.contains(told), "{wish}: {detail}");
    }
}

#[tokio::test]
async fn every_harbor_is_served_below_an_endpoint_and_nothing_else_is() {
    let world = World::start().await;
    let token = world.endpoint().await.text;
    let below = |path: &str| format!("/t/{token}{path}");
    for path in ["/_ping", "/healthy", "/health"] {
        assert_eq!(world.bare_get(&below(path)).await.status, 200, "{path}");
    }
    let made = world.bare_post(&below("/preheats"), &preheat()).await;
    assert_eq!(made.json(), json!({"ID": "1"}), "{}", made.text);
    assert_eq!(world.bare_get(&below("/preheats/1")).await.status, 200);
    let job = json!({"args": {"url": "https://harbor.example.com/v2/a/b/manifests/1"}});
    assert_eq!(world.bare_post(&below("/oapi/v1/jobs"), &job).await.status, 200);
    assert_eq!(world.bare_get(&below("/oapi/v1/jobs/2")).await.status, 200);
    let nothing = json!({"events": []});
    let told = world.bare_post(&below("/registry/notifications"), &nothing).await;
    assert_eq!(told.status, 200);
    let other = json!({"type": "PULL_ARTIFACT"});
    assert_eq!(world.bare_post(&below("/hooks/harbor"), &other).await.status, 202);
    for path in [
        "",
        "/",
        "/api/v1/preheats",
        "/api/v1/tokens",
        "/openapi.json",
        "/peer/v1/sessions",
        "/preheats/../api/v1/tokens",
    ] {
        let detail = world.bare_get(&below(path)).await.problem(404);
        assert!(!detail.contains(&token), "{detail}");
    }
}

#[tokio::test]
async fn a_token_in_the_path_counts_and_what_stands_beside_it_does_not() {
    let world = World::start().await;
    let token = world.endpoint().await;
    let wrong = world.ask(Method::GET, &format!("/t/{}/_ping", token.text), "wrong");
    assert_eq!(Answer::of(wrong).await.status, 200);
    let admin = world.token([Scope::Admin]).await.text;
    let mut nearly = token.text.clone();
    nearly.pop();
    for bad in ["wrong-token", &nearly, &token.id, &admin, &"x".repeat(5000)] {
        let request = world.ask(Method::GET, &format!("/t/{bad}/_ping"), &admin);
        let detail = Answer::of(request).await.problem(401);
        assert!(detail.contains("--endpoint") && !detail.contains(bad), "{detail}");
    }
    // It opens nothing as a header either, nor is its hash a token.
    world.get("/_ping", &token.text).await.problem(401);
}

#[tokio::test]
async fn a_revoked_endpoint_is_refused_but_for_polls_of_its_own_preheats() {
    let world = World::start().await;
    let (mine, other) = (world.endpoint().await, world.endpoint().await);
    for token in [&mine, &other] {
        world
            .bare_post(&format!("/t/{}/preheats", token.text), &preheat())
            .await;
    }
    let admin = world.token([Scope::Admin]).await.text;
    let revoke = world.ask(Method::DELETE, &format!("/api/v1/tokens/{}", mine.id), &admin);
    assert_eq!(Answer::of(revoke).await.status, 204);
    let below = |path: &str| format!("/t/{}{path}", mine.text);
    assert_eq!(world.bare_get(&below("/preheats/1")).await.status, 200);
    for path in ["/preheats/2", "/_ping", "/healthy", "/health"] {
        world.bare_get(&below(path)).await.problem(401);
    }
    world
        .bare_post(&below("/preheats"), &preheat())
        .await
        .problem(401);
    world.clock.advance(31 * MINUTE_MS);
    world.bare_get(&below("/preheats/1")).await.problem(401);
    // The other one is not touched by it, and sees its own only.
    assert_eq!(
        world
            .bare_get(&format!("/t/{}/preheats/2", other.text))
            .await
            .status,
        200
    );
    world
        .bare_get(&format!("/t/{}/preheats/1", other.text))
        .await
        .problem(403);
}

#[tokio::test]
async fn an_endpoint_expires_as_other_tokens_do() {
    let world = World::start().await;
    let token = world.endpoint().await.text;
    world.clock.advance(366 * 24 * 60 * MINUTE_MS);
    world.bare_get(&format!("/t/{token}/_ping")).await.problem(401);
}

#[tokio::test]
async fn metrics_and_answers_hold_no_token_of_a_path() {
    let metrics = Metrics::new();
    let world = World::counted(AuthMode::Tokens, Vec::new(), RouteSettings::default(), &metrics).await;
    let token = world.endpoint().await.text;
    for path in [
        format!("/t/{token}/_ping"),
        format!("/t/{token}"),
        format!("/t/{token}/api/v1/tokens"),
        format!("/proxy/t/{token}/_ping"),
        format!("//t/{token}/x"),
        format!("/t/{token}/t/{token}/_ping"),
    ] {
        let answer = world.bare_get(&path).await;
        assert!(!answer.text.contains(&token), "{}", answer.text);
        assert!(!format!("{:?}", answer.headers).contains(&token));
    }
    let text = metrics.text(Format::OpenMetrics);
    assert!(text.contains("http_route=\"/_ping\""), "{text}");
    assert!(!text.contains(&token), "{text}");
}
