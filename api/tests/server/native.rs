//! The native API: preheats are created and shown.

use api::AuthMode;
use api::tokens::Scope;
use serde_json::json;
use wire::{PlacementOutcome, PlacementProgress, ProgressReport, Side};

use crate::raw::registry_token;
use crate::registry;
use crate::seed::{FakeSeed, verified};
use crate::world::World;

const CUT: &str = "the registry cut the body";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_preheat_is_written_down_and_shown_as_it_was_asked_for() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await;
    let body = json!({
        "image": "http://harbor.example.com/library/nginx:1.27",
        "scope": "all_seed_peers",
        "platforms": ["linux/amd64", "linux/arm64/v8"],
        "credential": {"username": "ann", "password": "s3cret"},
    });
    let created = world.post("/api/v1/preheats", &token.text, &body).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (202, "/api/v1/preheats/1")
    );
    let view = created.json();
    assert_eq!(view["image"], "harbor.example.com/library/nginx:1.27");
    assert_eq!(
        view["url"],
        "http://harbor.example.com/v2/library/nginx/manifests/1.27"
    );
    assert_eq!(view["scope"], "all_seed_peers");
    assert_eq!(view["platforms"], json!(["linux/amd64", "linux/arm64/v8"]));
    assert_eq!(
        (&view["state"], &view["finished_at"]),
        (&json!("waiting"), &json!(null))
    );
    assert_eq!(view["created_at"], "2026-11-21T10:18:08Z");
    assert_eq!(view["created_by"], token.id);
    assert_eq!(world.get("/api/v1/preheats/1", &token.text).await.json(), view);
}

#[tokio::test]
async fn what_people_write_is_understood() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let digest = format!("sha256:{}", "0".repeat(64));
    let images = [
        ("nginx", "docker.io/library/nginx:latest".to_owned()),
        ("nginx:1.27", "docker.io/library/nginx:1.27".to_owned()),
        (
            "https://h.example/v2/a/b/manifests/1",
            "h.example/a/b:1".to_owned(),
        ),
        (
            &format!("h.example:5000/a@{digest}"),
            format!("h.example:5000/a@{digest}"),
        ),
    ];
    for (given, shown) in images {
        let answer = world
            .post("/api/v1/preheats", &token, &json!({ "image": given }))
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(answer.json()["image"], shown);
    }
}

#[tokio::test]
async fn the_list_goes_on_where_the_page_before_ended() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    for n in 1..=5 {
        let body = json!({ "image": format!("h.example/a:{n}") });
        assert_eq!(world.post("/api/v1/preheats", &token, &body).await.status, 202);
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/preheats?limit=2".to_owned();
    loop {
        let page = world.get(&path, &token).await.json();
        let ids = page["preheats"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["id"].as_i64().expect("an id"));
        seen.push(ids.collect::<Vec<_>>());
        let Some(before) = page["next_before"].as_i64() else {
            break;
        };
        path = format!("/api/v1/preheats?limit=2&before={before}");
    }
    assert_eq!(seen, [vec![5, 4], vec![3, 2], vec![1]]);
}

#[tokio::test]
async fn progress_and_outcome_are_shown_object_by_object() {
    let registry = registry::start("Basic YW5uOnMzY3JldA==").await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = FakeSeed::join(&world, "seed-1").await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    let body = json!({"image": image, "credential": {"username": "ann", "password": "s3cret"}});
    assert_eq!(world.post("/api/v1/preheats", &token, &body).await.status, 202);

    let lots = seed.take().await;
    let layer = lots[0]
        .placements
        .iter()
        .max_by_key(|order| order.size)
        .expect("an order");
    let moving = PlacementProgress {
        preheat: 1,
        digest: layer.digest.clone(),
        bytes_done: 4,
    };
    let report = ProgressReport {
        placements: vec![moving],
        working_on: vec![lots[0].work],
        ..ProgressReport::default()
    };
    seed.manager
        .progress(seed.welcome.session, &report)
        .await
        .expect("heard");
    let objects = world.get("/api/v1/preheats/1/objects", &token).await.json();
    let objects = objects["objects"].as_array().expect("a list").clone();
    assert_eq!(objects.len(), 3);
    let of_layer = objects
        .iter()
        .find(|one| one["digest"] == layer.digest)
        .expect("the object");
    let placement = &of_layer["placements"][0];
    assert_eq!(
        (&placement["state"], &placement["bytes_done"]),
        (&json!("fetching"), &json!(4))
    );
    assert_eq!(
        (&placement["peer_name"], &placement["peer_ip"]),
        (&json!("seed-1"), &json!("127.0.0.1"))
    );

    let failed = PlacementOutcome::Failed {
        reason: CUT.to_owned(),
        side: Side::Registry,
    };
    seed.settle(&lots, |n| if n == 0 { failed.clone() } else { verified() })
        .await;
    let view = world.get("/api/v1/preheats/1", &token).await.json();
    assert_eq!(
        (&view["state"], &view["side"]),
        (&json!("failed"), &json!("registry"))
    );
    assert!(
        view["reason"].as_str().is_some_and(|reason| reason.contains(CUT)),
        "{view}"
    );
    assert_eq!(
        view["placements"],
        json!({"total": 3, "open": 0, "verified": 2, "failed": 1})
    );
    assert_ne!(view["finished_at"], json!(null));
}

#[tokio::test]
async fn peers_and_clusters_are_listed() {
    let world = World::start().await;
    let _seed = FakeSeed::join(&world, "seed-1").await;
    let token = world.token([Scope::Read]).await.text;
    let peers = world.get("/api/v1/peers", &token).await.json();
    let [peer] = &peers["peers"].as_array().expect("a list")[..] else {
        panic!("{peers}")
    };
    assert_eq!(
        (&peer["name"], &peer["role"], &peer["alive"]),
        (&json!("seed-1"), &json!("seed"), &json!(true))
    );
    assert_eq!(peer["share_url"], "https://127.0.0.1:65002");
    let clusters = world.get("/api/v1/clusters", &token).await.json();
    assert_eq!(
        clusters,
        json!({"clusters": [{"id": 1, "name": "default", "seeds": 1, "nodes": 0}]})
    );
}

#[tokio::test]
async fn the_callers_trace_goes_on_with_the_preheat() {
    process::telemetry::init(&process::telemetry::TelemetryOptions {
        service: "test".to_owned(),
        log_filter: Some("off".to_owned()),
        ..Default::default()
    });
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let request = world
        .ask(reqwest::Method::POST, "/api/v1/preheats", &token)
        .header("traceparent", TRACE)
        .json(&json!({"image": "h.example/a:1"}));
    let view = crate::world::Answer::of(request).await.json();
    assert_eq!(view["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{view}");
    let link = format!("{}trace/0af7651916cd43dd8448eb211c80319c", crate::world::JAEGER);
    assert_eq!(view["trace_url"], link, "{view}");
}

#[tokio::test]
async fn no_registry_is_asked_inside_a_request() {
    let recorded = crate::raw::fixture("harbor-2.15-create.http", "");
    let registry = registry::start(&registry_token(&recorded)).await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    let token = world.token([Scope::Preheat]).await.text;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    // No workers run, so every request at the registry would come from the call itself.
    assert_eq!(
        world
            .post("/api/v1/preheats", &token, &json!({ "image": image }))
            .await
            .status,
        202
    );
    assert!(registry.image.asked.lock().expect("not poisoned").is_empty());
}
