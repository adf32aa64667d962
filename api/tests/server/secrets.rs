//! A secret that was handed in comes out nowhere.

use api::AuthMode;
use api::tokens::Scope;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::raw::{RawConnection, fixture, registry_token};
use crate::registry;
use crate::seed::{FakeSeed, verified};
use crate::world::World;

const PASSWORD: &str = "pl4nted-s3cret";

#[tokio::test]
async fn a_planted_secret_is_in_no_answer() {
    let recorded = fixture("harbor-2.15-create.http", "");
    let registry = registry::start(&registry_token(&recorded)).await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = FakeSeed::join(&world, "seed-1").await;
    let token = world
        .token([Scope::Preheat, Scope::Read, Scope::Admin])
        .await
        .text;

    let mut connection = RawConnection::to(world.address).await;
    let created = connection.send(&fixture("harbor-2.15-create.http", &token)).await;
    let lots = seed.take().await;
    let credential = lots[0].credential.as_deref().expect("a credential");
    let value = seed
        .manager
        .credential(seed.welcome.session, credential)
        .await
        .expect("still there");
    assert_eq!(value.expose(), registry_token(&recorded));

    let misplaced = [
        json!({"image": "h.example/a:1", "credential": {"username": "ann", "password": PASSWORD}}),
        json!({"image": format!("https://ann:{PASSWORD}@h.example/a:1")}),
        json!({"image": "h.example/a:1", "credential": PASSWORD}),
        json!({"image": "h.example/a:1", "credential": {"username": format!("ann:{PASSWORD}"), "password": "x"}}),
    ];
    let mut answers = vec![created.text()];
    for body in &misplaced {
        answers.push(world.post("/api/v1/preheats", &token, body).await.text);
    }
    let harbors = [
        json!({"args": {"url": format!("https://ann:{PASSWORD}@h.example/v2/a/manifests/1")}}),
        json!({"args": {"url": format!("https://h.example/v2/a/manifests/1?token={PASSWORD}")}}),
        json!({"args": {"url": "https://h.example/v2/a/manifests/1", "headers": PASSWORD}}),
        json!({"args": {"url": "https://h.example/v2/a/manifests/1", "headers": {"Authorization": format!("{PASSWORD}\n")+"x"}}}),
    ];
    for body in &harbors {
        answers.push(world.post("/oapi/v1/jobs", &token, body).await.text);
    }
    seed.settle(&lots, |_| verified()).await;
    for path in [
        "/oapi/v1/jobs/1",
        "/api/v1/preheats",
        "/api/v1/preheats/1",
        "/api/v1/preheats/1/objects",
    ] {
        answers.push(world.get(path, &token).await.text);
    }
    for path in [
        "/api/v1/peers",
        "/api/v1/clusters",
        "/api/v1/tokens",
        "/openapi.json",
    ] {
        answers.push(world.get(path, &token).await.text);
    }
    let jwt = registry_token(&recorded);
    let signature = jwt.rsplit('.').next().expect("a signature");
    let basic = STANDARD.encode(format!("ann:{PASSWORD}"));
    for answer in &answers {
        for secret in [PASSWORD, signature, basic.as_str(), token.as_str()] {
            assert!(!answer.contains(secret), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_credential_is_gone_when_its_preheat_has_ended() {
    let recorded = fixture("harbor-2.15-create.http", "");
    let registry = registry::start(&registry_token(&recorded)).await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = FakeSeed::join(&world, "seed-1").await;
    let token = world.token([Scope::Preheat]).await.text;
    RawConnection::to(world.address)
        .await
        .send(&fixture("harbor-2.15-create.http", &token))
        .await;
    let lots = seed.take().await;
    seed.settle(&lots, |_| verified()).await;
    let credential = lots[0].credential.as_deref().expect("a credential");
    let gone = seed.manager.credential(seed.welcome.session, credential).await;
    assert!(matches!(gone, Err(wire::CallError::Gone)), "{gone:?}");
}
