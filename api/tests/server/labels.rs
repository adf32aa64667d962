//! Labels over HTTP: given, shown, filtered by, and refused with the name of the one that is wrong.

use api::tokens::Scope;
use serde_json::{Value, json};

use crate::world::World;

async fn labelled(world: &World, token: &str, labels: &Value) -> Value {
    let body = json!({"image": "h.example/a:1", "labels": labels});
    let answer = world.post("/api/v1/preheats", token, &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()
}

async fn ids(world: &World, token: &str, query: &str) -> Vec<i64> {
    let page = world
        .get(&format!("/api/v1/preheats?{query}"), token)
        .await
        .json();
    let preheats = page["preheats"].as_array().expect("a list");
    preheats
        .iter()
        .map(|one| one["id"].as_i64().expect("an id"))
        .collect()
}

#[tokio::test]
async fn labels_are_shown_as_they_were_given() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let labels = json!({"team": "payments", "example.com/stage": "prod=1 ü", "empty": ""});
    let created = labelled(&world, &token, &labels).await;
    assert_eq!(created["labels"], labels);
    assert_eq!(world.get("/api/v1/preheats/1", &token).await.json(), created);
    let page = world.get("/api/v1/preheats", &token).await.json();
    assert_eq!(page["preheats"][0]["labels"], labels);
    let without = json!({"image": "h.example/a:1"});
    let without = world.post("/api/v1/preheats", &token, &without).await.json();
    assert_eq!(without["labels"], json!({}));
}

#[tokio::test]
async fn a_filter_may_be_repeated_and_all_must_match() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    for labels in [
        json!({"team": "a", "stage": "prod"}),
        json!({"team": "a", "stage": "a=b&c d"}),
        json!({"team": "b"}),
    ] {
        labelled(&world, &token, &labels).await;
    }
    assert_eq!(ids(&world, &token, "label=team=a").await, [2, 1]);
    assert_eq!(ids(&world, &token, "label=team%3Da&label=stage=prod").await, [1]);
    assert_eq!(ids(&world, &token, "label=stage=a%3Db%26c+d&limit=5").await, [2]);
    assert_eq!(
        ids(&world, &token, "label=team=a&label=team=b").await,
        [] as [i64; 0]
    );
    assert_eq!(ids(&world, &token, "limit=1&label=team=a&before=2").await, [1]);
}

#[tokio::test]
async fn a_bad_label_is_a_problem_that_names_it_and_not_its_value() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("k{n}"), json!("v"))).collect();
    let cases = [
        (json!({"-team": "s3cret"}), "-team"),
        (json!({"": "s3cret"}), "\"\""),
        (json!({"a=b": "s3cret"}), "a=b"),
        (json!({"a\u{0}b": "s3cret"}), "a\\0b"),
        (json!({"a'; DROP TABLE preheats--x": "s3cret"}), "DROP TABLE"),
        (json!({"k".repeat(64): "s3cret"}), "kkkk"),
        (json!({"team": "s3cret\n"}), "team"),
        (json!({"team": "s3cret".repeat(50)}), "team"),
        (Value::Object(many), "33"),
    ];
    for (labels, named) in cases {
        let body = json!({"image": "h.example/a:1", "labels": labels});
        let detail = world.post("/api/v1/preheats", &token, &body).await.problem(400);
        assert!(detail.contains("`labels`") && detail.contains(named), "{detail}");
        assert!(!detail.contains("s3cret"), "{detail}");
    }
    for labels in [json!({"team": 1}), json!(["team"]), json!("team=a")] {
        let body = json!({"image": "h.example/a:1", "labels": labels});
        world.post("/api/v1/preheats", &token, &body).await.problem(422);
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_bad_filter_is_a_problem_and_other_parts_of_the_query_are_read_as_before() {
    let world = World::start().await;
    let token = world.token([Scope::Read]).await.text;
    let many = "label=k=v&".repeat(33);
    for bad in [
        "label=team",
        "label=",
        "label==v",
        "label=-a=v",
        "label=a=%00",
        "label=a=v&limit=x",
        "label=a=v&nonsense=1",
        "limit=1&limit=2",
        &many,
    ] {
        let path = format!("/api/v1/preheats?{bad}");
        world.get(&path, &token).await.problem(400);
    }
}

#[tokio::test]
async fn preheats_of_harbor_have_no_labels() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let body = json!({
        "type": "image", "url": "https://h.example/v2/library/a/manifests/1", "headers": {}, "labels": {"team": "a"},
    });
    assert_eq!(world.post("/preheats", &token, &body).await.status, 200);
    let view = world.get("/api/v1/preheats/1", &token).await.json();
    assert_eq!(view["labels"], json!({}));
}
