//! Pins, removals and blocks over the API: who may, what is answered.

use api::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World};

const REMOVALS: &str = "/api/v1/images/removals";
const BLOCKS: &str = "/api/v1/images/blocks";
const PINS: &str = "/api/v1/images/pins";

fn image(tag: &str) -> Value {
    json!({"image": format!("registry.lan/team/app:{tag}")})
}

#[tokio::test]
async fn an_image_is_blocked_listed_and_unblocked_by_administrators_only() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    let asker = world.token([Scope::Preheat, Scope::Read]).await.text;
    let block = json!({"image": "registry.lan/team/app:1", "block": true, "reason": "CVE-1"});
    world.post(REMOVALS, &asker, &block).await.problem(403);
    let answer = world.post(REMOVALS, &admin, &block).await;
    assert_eq!(answer.status, 202);
    let removed = answer.json();
    assert_eq!(removed["blocked"], true, "{removed}");
    assert_eq!(removed["digest"], Value::Null, "nobody knows what it is made of");

    let listed = world.get(BLOCKS, &asker).await.json();
    let blocked = &listed["blocks"][0];
    assert_eq!(blocked["image"], "registry.lan/team/app:1");
    assert_eq!(blocked["reason"], "CVE-1");
    assert_eq!(blocked["created_at"], "2026-11-21T10:18:08Z");
    let refused = world.post("/api/v1/preheats", &asker, &image("1")).await;
    let told = refused.problem(422);
    assert!(
        told.contains("was blocked by") && told.contains("CVE-1"),
        "{told}"
    );
    assert_eq!(
        world.post("/api/v1/preheats", &asker, &image("2")).await.status,
        202
    );

    let path = format!("{BLOCKS}/{}", blocked["id"]);
    let delete = |token: &str| Answer::of(world.ask(Method::DELETE, &path, token));
    delete(&asker).await.problem(403);
    assert_eq!(delete(&admin).await.status, 204);
    delete(&admin).await.problem(404);
    assert_eq!(
        world.post("/api/v1/preheats", &asker, &image("1")).await.status,
        202
    );
}

#[tokio::test]
async fn what_cannot_be_pinned_or_removed_is_told() {
    let world = World::start().await;
    let admin = world.token([Scope::Admin]).await.text;
    let reader = world.token([Scope::Read]).await.text;
    world.post(PINS, &reader, &image("1")).await.problem(403);
    world.post(PINS, &admin, &image("1")).await.problem(404);
    world.post(REMOVALS, &admin, &image("1")).await.problem(404);
    let bad = json!({"image": "registry.lan/team/app:1", "for": "soon"});
    let told = world.post(PINS, &admin, &bad).await.problem(422);
    assert!(told.contains("`for`"), "{told}");
    world
        .post(PINS, &admin, &json!({"image": "no image"}))
        .await
        .problem(422);
    assert_eq!(world.get(PINS, &reader).await.json(), json!({"pins": []}));
    let delete = world.ask(Method::DELETE, &format!("{PINS}/7"), &admin);
    Answer::of(delete).await.problem(404);
}
