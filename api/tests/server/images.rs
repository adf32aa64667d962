//! Pins, removals and blocks over the API: who may, what is answered.

use api::AuthMode;
use api::tokens::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::raw::{RawConnection, fixture, registry_token};
use crate::registry;
use crate::seed::{FakeSeed, verified};
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
    assert!(told.contains("CVE-1"), "{told}");
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

/// A world with an image whose objects are known, and that image's name.
async fn with_a_known_image() -> (World, String) {
    let recorded = fixture("harbor-2.15-create.http", "");
    let registry = registry::start(&registry_token(&recorded)).await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = FakeSeed::join(&world, "seed-1").await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    connection.send(&fixture("harbor-2.15-create.http", &token)).await;
    let lots = seed.take().await;
    seed.settle(&lots, |_| verified()).await;
    let preheats = world.get("/api/v1/preheats", &token).await.json();
    let image = preheats["preheats"][0]["image"].as_str().expect("an image");
    (world, image.to_owned())
}

#[tokio::test]
async fn a_pin_is_taken_away_by_its_maker_and_by_an_administrator_and_by_nobody_else() {
    let (world, image) = with_a_known_image().await;
    let maker = world.token([Scope::Preheat]).await.text;
    let stranger = world.token([Scope::Preheat, Scope::Read]).await.text;
    let admin = world.token([Scope::Admin]).await.text;
    for (by, strangers) in [(&maker, [&stranger]), (&admin, [&stranger])] {
        let pinned = world.post(PINS, &maker, &json!({ "image": image })).await;
        assert_eq!(pinned.status, 201, "{}", pinned.text);
        let path = format!("{PINS}/{}", pinned.json()["id"]);
        let delete = |path: &str, token: &str| Answer::of(world.ask(Method::DELETE, path, token));
        for stranger in strangers {
            for path in [path.as_str(), "/api/v1/images/pins/999"] {
                let told = delete(path, stranger).await.problem(403);
                assert!(told.contains("`admin`"), "{told}");
            }
        }
        let listed = world.get(PINS, &stranger).await.json();
        assert_eq!(listed["pins"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(delete(&path, by).await.status, 204);
    }
    let pinned = world.post(PINS, &admin, &json!({ "image": image })).await;
    let path = format!("{PINS}/{}", pinned.json()["id"]);
    let refused = Answer::of(world.ask(Method::DELETE, &path, &maker)).await;
    refused.problem(403);
}
