//! Webhooks: Harbor's byte for byte in both formats, those of other registries, and what comes of them.

use api::tokens::Scope;
use api::triggers::{HookKind, HookSettings, Hooks, Rule, Rules, Wish};
use api::{AuthMode, RouteSettings};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use wire::SecretText;

use crate::notifications::route_settings;
use crate::raw::{RawConnection, fixture};
use crate::world::{Answer, World};

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
            "`event_data`",
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

const SECRET: &str = "It's a Secret to Everybody";
const DIGEST: &str = "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498";

/// Everything is preheated; GitHub's and GitLab's webhooks need the secret.
async fn world_with_secrets() -> World {
    let secret = HookSettings {
        secret: Some(SecretText::new(SECRET)),
        ..HookSettings::default()
    };
    let hooks: Hooks = [(HookKind::GitHub, secret.clone()), (HookKind::GitLab, secret)].into();
    let everything = |text: &str| text.parse().expect(text);
    let route_settings = RouteSettings {
        hooks,
        rules: Rules::new(vec![Rule {
            registry: everything("*"),
            repository: everything("**"),
            tag: everything("*"),
            wish: Wish::default(),
        }]),
        ..RouteSettings::default()
    };
    World::with_route_settings(AuthMode::Tokens, Vec::new(), route_settings).await
}

fn docker_hub_push(pushed_at: i64) -> Value {
    json!({"push_data": {"pushed_at": pushed_at, "tag": "v1"}, "repository": {"repo_name": "team/app"}})
}

/// A push of GitHub's container registry, with its signature.
fn github_push(world: &World, sign: impl FnOnce(&[u8]) -> String) -> RequestBuilder {
    let body = json!({
        "action": "published",
        "registry_package": {
            "package_type": "CONTAINER",
            "package_version": {
                "version": DIGEST, "package_url": "ghcr.io/team/app:v1",
                "container_metadata": {"tag": {"name": "v1", "digest": DIGEST}}
            }
        }
    });
    let body = body.to_string();
    world
        .http
        .post(world.url("/hooks/github"))
        .header("content-type", "application/json")
        .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
        .header("x-hub-signature-256", sign(body.as_bytes()))
        .body(body)
}

fn signature(body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, body);
    let digits: Vec<String> = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={}", digits.concat())
}

#[tokio::test]
async fn an_unknown_kind_is_answered_with_the_kinds() {
    let world = world().await;
    let token = world.token([Scope::Preheat]).await.text;
    for kind in ["bitbucket", "Harbor", "%ff", "harbor%2f"] {
        let answer = world.post(&format!("/hooks/{kind}"), &token, &json!({})).await;
        let detail = answer.problem(404);
        for known in HookKind::ALL {
            assert!(detail.contains(known.word()), "{kind}: {detail}");
        }
    }
}

#[tokio::test]
async fn every_kind_needs_a_token_where_no_secret_is_configured() {
    let world = world().await;
    let read_only = world.token([Scope::Read]).await.text;
    let preheat = world.token([Scope::Preheat]).await.text;
    for kind in HookKind::ALL {
        let door = format!("/hooks/{kind}");
        world.bare_post(&door, &json!({})).await.problem(401);
        world
            .bare_post(&format!("/t/wrong{door}"), &json!({}))
            .await
            .problem(401);
        world.post(&door, &read_only, &json!({})).await.problem(403);
        let answer = world.post(&door, &preheat, &json!({})).await;
        assert!(
            matches!(answer.status.as_u16(), 202 | 422),
            "{kind}: {}",
            answer.text
        );
        let text = world.ask(Method::POST, &door, &preheat).body("payload=x");
        Answer::of(text).await.problem(415);
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_configured_secret_makes_the_signature_required_and_a_token_needless() {
    let world = world_with_secrets().await;
    let token = world.token([Scope::Preheat]).await.text;
    let wrong = |_: &[u8]| "sha256=00".to_owned();
    Answer::of(github_push(&world, wrong)).await.problem(401);
    Answer::of(github_push(&world, wrong).bearer_auth(&token))
        .await
        .problem(401);
    Answer::of(github_push(&world, signature).bearer_auth("wrong"))
        .await
        .problem(401);
    assert_eq!(world.stored().await, 0);
    for _ in 0..2 {
        let told = Answer::of(github_push(&world, signature)).await;
        assert_eq!(told.status, 202, "{}", told.text);
        assert_eq!(told.json()["preheats"], json!([1]), "{}", told.text);
    }
    assert_eq!(world.stored().await, 1);
}

#[tokio::test]
async fn gitlab_s_notifications_come_with_its_token() {
    let world = world_with_secrets().await;
    let push = json!({"events": [{
        "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7", "action": "push",
        "target": {
            "digest": DIGEST, "repository": "team/app", "tag": "v1",
            "url": format!("https://registry.gitlab.lan/v2/team/app/manifests/{DIGEST}")
        },
        "request": {"host": "registry.gitlab.lan"}
    }]});
    let send = |secret: &'static str| {
        let request = world.http.post(world.url("/hooks/gitlab")).json(&push);
        Answer::of(request.header("x-gitlab-token", secret))
    };
    send("wrong").await.problem(401);
    let told = send(SECRET).await;
    assert_eq!(told.json()["preheats"], json!([1]), "{}", told.text);
}

#[tokio::test]
async fn a_repeated_message_is_known_only_if_it_differs_from_the_next_push() {
    let world = world_with_secrets().await;
    let token = world.token([Scope::Preheat]).await.text;
    let told = async |kind: &str, body: &Value| {
        let told = world.post(&format!("/hooks/{kind}"), &token, body).await;
        assert_eq!(told.status, 202, "{}", told.text);
        told.json()["preheats"].clone()
    };
    assert_eq!(told("docker-hub", &docker_hub_push(1)).await, json!([1]));
    assert_eq!(told("docker-hub", &docker_hub_push(1)).await, json!([1]));
    assert_eq!(told("docker-hub", &docker_hub_push(2)).await, json!([2]));
    // Quay's messages have neither an id nor a time.
    let quay = json!({"docker_url": "quay.io/team/app", "updated_tags": ["v1", "v2"]});
    assert_eq!(told("quay", &quay).await, json!([3, 4]));
    assert_eq!(told("quay", &quay).await, json!([5, 6]));
}

#[tokio::test]
async fn a_message_with_too_many_images_is_refused_whole() {
    let world = world_with_secrets().await;
    let token = world.token([Scope::Preheat]).await.text;
    let tags: Vec<String> = (0..101).map(|n| format!("v{n}")).collect();
    let quay = json!({"docker_url": "quay.io/team/app", "updated_tags": tags});
    world.post("/hooks/quay", &token, &quay).await.problem(422);
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn harbor_s_push_without_a_tag_is_preheated_by_a_rule_for_all_tags() {
    let push = json!({
        "type": "PUSH_ARTIFACT", "occur_at": 1_707_961_109, "operator": "harbor#proxy-cache-service",
        "event_data": {
            "resources": [{
                "digest": DIGEST, "tag": DIGEST, "resource_url": format!("10.88.0.2:8080/mirror/vendor/app@{DIGEST}")
            }],
            "repository": {"name": "vendor/app", "namespace": "mirror", "repo_full_name": "mirror/vendor/app"}
        }
    });
    let world = world_with_secrets().await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let told = world.post("/hooks/harbor", &token, &push).await;
    assert_eq!(told.json()["preheats"], json!([1]), "{}", told.text);
    let view = world.get("/api/v1/preheats/1", &token).await.json();
    assert_eq!(
        view["image"],
        format!("10.88.0.2:8080/mirror/vendor/app@{DIGEST}")
    );
    // The rule of this world is for tags that begin with v.
    let world = self::world().await;
    let token = world.token([Scope::Preheat]).await.text;
    let told = world.post("/hooks/harbor", &token, &push).await;
    assert!(told.text.contains("[[trigger]]"), "{}", told.text);
    assert_eq!(world.stored().await, 0);
}
