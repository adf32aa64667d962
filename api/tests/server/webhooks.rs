//! Harbor's webhooks, byte for byte in both formats, and what comes of them.

use api::AuthMode;
use api::tokens::Scope;
use serde_json::{Value, json};

use crate::notifications::route_settings;
use crate::raw::{RawConnection, fixture};
use crate::world::World;

const FORMATS: [&str; 2] = ["default", "cloudevents"];

async fn world() -> World {
    World::with_route_settings(AuthMode::Tokens, Vec::new(), route_settings("10.88.0.2:8080")).await
}

#[tokio::test]
async fn both_formats_become_one_preheat_each_however_often_they_come() {
    let world = world().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    for (n, format) in FORMATS.into_iter().enumerate() {
        let sent = fixture(&format!("webhook-2.15-{format}.http"), &token);
        for _ in 0..3 {
            // Each try of Harbor is a connection of its own.
            let mut connection = RawConnection::to(world.address).await;
            let told = connection.send(&sent).await;
            assert_eq!(told.status, 202, "{}", told.text());
            let heard: Value = serde_json::from_slice(&told.body).expect("JSON");
            assert_eq!(heard, json!({"preheats": [n + 1], "passed_over": []}), "{format}");
        }
        let view = world
            .get(&format!("/api/v1/preheats/{}", n + 1), &token)
            .await
            .json();
        assert_eq!(
            view["image"],
            "10.88.0.2:8080/hooky/app:v1@sha256:8e61fd6d786a7c852c7ca29e2914382130c3f7e8b7f43b728aae0c25d95bb7f5"
        );
        assert_eq!(view["scope"], "all_peers");
    }
    assert_eq!(world.stored().await, 2);
}

#[tokio::test]
async fn other_types_are_answered_well_and_lead_to_nothing() {
    let world = world().await;
    let door = format!("/t/{}/hooks/harbor", world.endpoint().await.text);
    for kind in [
        "PULL_ARTIFACT",
        "DELETE_ARTIFACT",
        "SCANNING_COMPLETED",
        "QUOTA_EXCEED",
        "TEST_ENDPOINT",
        "harbor.artifact.pulled",
    ] {
        let told = world
            .bare_post(&door, &json!({"type": kind, "event_data": {}}))
            .await;
        assert_eq!(told.status, 202, "{kind}: {}", told.text);
        assert!(told.text.contains("PUSH_ARTIFACT"), "{}", told.text);
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn what_harbor_would_not_send_is_a_problem_that_repeats_no_value() {
    let world = world().await;
    let token = world.token([Scope::Preheat]).await.text;
    let push = |url: &str, repository: &str, tag: &str, digest: &str| {
        json!({"type": "PUSH_ARTIFACT", "occur_at": 1, "event_data": {
            "resources": [{"digest": digest, "tag": tag, "resource_url": url}],
            "repository": {"repo_full_name": repository}
        }})
    };
    let digest = format!("sha256:{}", "a".repeat(64));
    let cases = [
        (json!([]), 422, "Slack"),
        (json!({"text": "pushed"}), 422, "Slack"),
        (
            json!({"type": "PUSH_ARTIFACT", "event_data": "s3cret"}),
            422,
            "Slack",
        ),
        (
            json!({"type": "PUSH_ARTIFACT", "event_data": {"resources": []}}),
            422,
            "repo_full_name",
        ),
        (push("ann:s3cret@h/a:v1", "a", "v1", &digest), 422, "resource_url"),
        (push("h", "../a", "v1", &digest), 422, "repo_full_name"),
        (push("h/a:v1", "a", "v1", "sha256:s3cret"), 422, "digest"),
        (push("h/a:v1", "a", "v 1", &digest), 422, "tag"),
        (
            push("h/a:v1", &"a/".repeat(200_000), "v1", &digest),
            413,
            "larger",
        ),
    ];
    for (body, status, told) in cases {
        let detail = world.post("/hooks/harbor", &token, &body).await.problem(status);
        assert!(detail.contains(told), "{detail}");
        assert!(!detail.contains("ann:s3cret"), "{detail}");
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_webhook_without_the_right_token_is_refused() {
    let world = world().await;
    let read_only = world.token([Scope::Read]).await.text;
    let body = json!({"type": "PUSH_ARTIFACT"});
    world.bare_post("/hooks/harbor", &body).await.problem(401);
    world.post("/hooks/harbor", "wrong", &body).await.problem(401);
    world.post("/hooks/harbor", &read_only, &body).await.problem(403);
    world.bare_post("/t/wrong/hooks/harbor", &body).await.problem(401);
}
