//! Tokens are made, listed and revoked over the API.

use api::tokens::Scope;
use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, World};

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    let wish = json!({"name": "harbor", "scopes": ["read", "preheat"], "expires": "30d"});
    let made = world.post("/api/v1/tokens", &admin, &wish).await;
    assert_eq!(
        (made.status.as_u16(), made.header("cache-control")),
        (201, "no-store")
    );
    let made = made.json();
    assert_eq!(made["scopes"], json!(["preheat", "read"]));
    assert_eq!(made["expires_at"], "2026-12-21T10:18:08Z");
    let (id, text) = (
        made["id"].as_str().expect("an id"),
        made["token"].as_str().expect("a token"),
    );
    assert_eq!(world.get("/api/v1/preheats", text).await.status, 200);

    let list = world.get("/api/v1/tokens", &admin).await;
    assert!(!list.text.contains(text), "the list shows a token");
    let of_harbor = |list: &Answer| {
        let tokens = list.json()["tokens"].as_array().expect("a list").clone();
        tokens.into_iter().find(|one| one["id"] == id).expect("the token")
    };
    assert_eq!(of_harbor(&list)["revoked_at"], json!(null));

    for _ in 0..2 {
        let revoke = world.ask(Method::DELETE, &format!("/api/v1/tokens/{id}"), &admin);
        assert_eq!(Answer::of(revoke).await.status, 204);
    }
    world.get("/api/v1/preheats", text).await.problem(401);
    assert_eq!(
        of_harbor(&world.get("/api/v1/tokens", &admin).await)["revoked_at"],
        "2026-11-21T10:18:08Z"
    );
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_told_what_would() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    let cases = [
        (json!({"name": "x", "scopes": []}), "needs a scope"),
        (json!({"name": "x", "scopes": ["root"]}), "preheat, read, admin"),
        (json!({"name": "", "scopes": ["read"]}), "name"),
        (json!({"name": "a\nb", "scopes": ["read"]}), "name"),
        (
            json!({"name": "x", "scopes": ["read"], "expires": "soon"}),
            "365d",
        ),
        (json!({"name": "x", "scopes": ["read"], "expires": "0d"}), "365d"),
        (json!({"name": "x", "scope": "read"}), "unknown field `scope`"),
    ];
    for (wish, told) in cases {
        let detail = world.post("/api/v1/tokens", &admin, &wish).await.problem(422);
        assert!(detail.contains(told), "{wish}: {detail}");
    }
    assert_eq!(
        world.get("/api/v1/tokens", &admin).await.json()["tokens"]
            .as_array()
            .expect("a list")
            .len(),
        1
    );
}
