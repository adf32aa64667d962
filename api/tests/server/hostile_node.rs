//! What a hostile node with a valid certificate tries, and does not get.

use api::AuthMode;
use api::tokens::Scope;
use oci::{Credential, RegistrySettings, Secret};
use serde_json::json;
use wire::{CallError, PlacementOutcome, Role, SettleRequest, Settlement};

use crate::registry;
use crate::seed::{FakeSeed, Member, hello_of};
use crate::world::{Answer, World};

const ROBOT: &str = "Basic cm9ib3Q6cm9ib3QtcHc=";

/// A registry whose robot is configured at the manager.
async fn with_configured_credential() -> (World, registry::RegistryAt) {
    let registry = registry::start(ROBOT).await;
    let settings = RegistrySettings {
        credential: Credential::Basic {
            username: "robot".into(),
            password: Secret::new("robot-pw"),
        },
        ..registry.settings.clone()
    };
    let world = World::with(AuthMode::Tokens, vec![settings]).await;
    world.start_workers();
    (world, registry)
}

#[tokio::test]
async fn it_is_no_seed_whatever_its_hello_says() {
    let world = World::start().await;
    let node = Member::of(&world, Role::Node, "default").await;
    let mut hello = serde_json::to_value(hello_of("rogue")).expect("written");
    hello["role"] = json!("seed");
    hello["cluster"] = json!("elsewhere");
    hello["peer"] = json!(uuid::Uuid::new_v4());
    let asked = node.http.post(format!("{}/peer/v1/sessions", world.peer_url()));
    let welcome = Answer::of(asked.json(&hello)).await;
    assert_eq!(welcome.status, 200, "{}", welcome.text);
    assert_eq!(welcome.json()["neighbourhood"]["seeds"], json!([]));
    let reader = world.token([Scope::Read]).await.text;
    let peers = world.get("/api/v1/peers", &reader).await.json();
    let listed = &peers["peers"][0];
    assert_eq!(
        (&listed["role"], &listed["cluster"], &listed["id"]),
        (&json!("node"), &json!("default"), &json!(node.identity().peer))
    );
    let clusters = world.get("/api/v1/clusters", &reader).await.text;
    assert!(!clusters.contains("elsewhere"), "{clusters}");
}

#[tokio::test]
async fn a_configured_credential_goes_only_to_a_seed_with_an_open_lot_of_that_registry() {
    let (world, registry) = with_configured_credential().await;
    let name = format!("registry:{}", registry.settings.name);
    let node = Member::of(&world, Role::Node, "default").await;
    let node_session = node.hello("node").await.session;
    let seed = FakeSeed::join(&world, "seed-1").await;
    let idle = Member::of(&world, Role::Seed, "elsewhere").await;
    let idle_session = idle.hello("idle").await.session;
    let of_seed = async || seed.manager.credential(seed.welcome.session, &name).await;
    assert!(matches!(of_seed().await, Err(CallError::Gone)), "without a lot");

    let token = world.token([Scope::Preheat]).await.text;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    let body = json!({"image": image, "clusters": ["default"], "scope": "single_seed_peer"});
    assert_eq!(world.post("/api/v1/preheats", &token, &body).await.status, 202);
    let lots = seed.take().await;
    assert_eq!(of_seed().await.expect("with a lot").expose(), ROBOT);
    let other = seed
        .manager
        .credential(seed.welcome.session, "registry:other.lan")
        .await;
    assert!(matches!(other, Err(CallError::Gone)), "{other:?}");
    let refused = node.manager.credential(node_session, &name).await;
    assert!(matches!(refused, Err(CallError::Gone)), "{refused:?}");
    let refused = idle.manager.credential(idle_session, &name).await;
    assert!(matches!(refused, Err(CallError::Gone)), "{refused:?}");
    // Nor by the session of the seed that has the lot.
    let stolen = node.manager.credential(seed.welcome.session, &name).await;
    assert!(matches!(stolen, Err(CallError::Refused(_))), "{stolen:?}");

    seed.settle(&lots, |_| crate::seed::verified()).await;
    assert!(matches!(of_seed().await, Err(CallError::Gone)), "after the lot");
}

#[tokio::test]
async fn a_node_gets_no_configured_credential_with_an_open_lot_either() {
    let (world, registry) = with_configured_credential().await;
    let name = format!("registry:{}", registry.settings.name);
    let seed = FakeSeed::join(&world, "seed-1").await;
    let node = FakeSeed::of(Member::of(&world, Role::Node, "default").await, "node").await;
    let token = world.token([Scope::Preheat]).await.text;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    let body = json!({"image": image, "scope": "all_peers"});
    assert_eq!(world.post("/api/v1/preheats", &token, &body).await.status, 202);
    seed.settle(&seed.take().await, |_| crate::seed::verified()).await;
    let lots = node.take().await;
    assert!(lots.iter().all(|lot| lot.credential.is_none()), "{lots:?}");
    let refused = node.manager.credential(node.welcome.session, &name).await;
    assert!(matches!(refused, Err(CallError::Gone)), "{refused:?}");
}

#[tokio::test]
async fn it_cannot_use_or_take_over_anothers_session() {
    let world = World::start().await;
    let seed = FakeSeed::join(&world, "seed-1").await;
    let node = Member::of(&world, Role::Node, "default").await;
    // A name is only a label.
    node.hello("seed-1").await;
    let session = seed.welcome.session;
    let report = wire::ProgressReport::default();
    let stolen = node.manager.progress(session, &report).await;
    let Err(CallError::Refused(text)) = stolen else {
        panic!("{stolen:?}");
    };
    insta::assert_snapshot!(text, @"This session is another peer's.");
    let held = wire::HoldingsReport {
        starts_full_list: true,
        ..wire::HoldingsReport::default()
    };
    assert!(node.manager.holdings(session, &held).await.is_err());
    seed.manager
        .progress(session, &report)
        .await
        .expect("still its own");
    let reader = world.token([Scope::Read]).await.text;
    let peers = world.get("/api/v1/peers", &reader).await.json();
    let alive = peers["peers"].as_array().expect("peers").iter();
    assert_eq!(alive.filter(|peer| peer["alive"] == json!(true)).count(), 2);
}

#[tokio::test]
async fn it_settles_nothing_that_is_anothers() {
    let (world, registry) = with_configured_credential().await;
    let seed = FakeSeed::join(&world, "seed-1").await;
    let node = Member::of(&world, Role::Node, "default").await;
    let session = node.hello("node").await.session;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    let body = json!({"image": image, "scope": "single_seed_peer"});
    assert_eq!(world.post("/api/v1/preheats", &token, &body).await.status, 202);
    let lots = seed.take().await;
    let settled: Vec<Settlement> = lots
        .iter()
        .flat_map(|lot| lot.placements.iter().map(move |order| (lot, order)))
        .map(|(lot, order)| Settlement {
            work: lot.work,
            fence: lot.fence,
            digest: order.digest.clone(),
            outcome: PlacementOutcome::Verified {
                bytes_from_registry: 0,
                bytes_from_peers: 0,
            },
        })
        .collect();
    let count = lots.len();
    let request = SettleRequest { settled };
    let own = node.manager.settle(session, &request).await.expect("an answer");
    assert_eq!(own.stale.len(), count, "none of the lots is of its session");
    let stolen = node.manager.settle(seed.welcome.session, &request).await;
    assert!(matches!(stolen, Err(CallError::Refused(_))), "{stolen:?}");
    let view = world.get("/api/v1/preheats/1", &token).await.json();
    assert_ne!(view["state"], json!("succeeded"), "{view}");
}

#[tokio::test]
async fn it_makes_nobody_dial_the_metadata_address() {
    let world = World::start().await;
    let node = Member::of(&world, Role::Seed, "default").await;
    for address in [
        "169.254.169.254",
        "169.254.169.254:80",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "224.0.0.1",
        "0.0.0.0:7000",
    ] {
        let hello = wire::Hello {
            advertise: Some(address.to_owned()),
            ..hello_of("rogue")
        };
        let refused = node.manager.hello(&hello).await;
        assert!(
            matches!(&refused, Err(CallError::Answered { text, .. }) if text.contains("--advertise")),
            "{address}: {refused:?}"
        );
    }
    let private = wire::Hello {
        advertise: Some("10.99.0.9:7000".to_owned()),
        ..hello_of("fine")
    };
    node.manager
        .hello(&private)
        .await
        .expect("private addresses are usual");
}
