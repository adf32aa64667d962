//! What is read out of webhooks, and what is not.

use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:8e61fd6d786a7c852c7ca29e2914382130c3f7e8b7f43b728aae0c25d95bb7f5";

fn data() -> Value {
    json!({
        "resources": [{"digest": DIGEST, "tag": "v1", "resource_url": "10.88.0.2:8080/hooky/app:v1"}],
        "repository": {
            "date_created": 1_795_256_288, "name": "app", "namespace": "hooky",
            "repo_full_name": "hooky/app", "repo_type": "private"
        }
    })
}

fn default_format(data: &Value) -> Value {
    json!({"type": "PUSH_ARTIFACT", "occur_at": 1_795_256_288, "operator": "admin", "event_data": data})
}

fn cloud_event(data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": "250302ed-462b-4c52-a2f0-7c521bc0166c",
        "source": "/projects/16/webhook/policies/2", "type": "harbor.artifact.pushed",
        "datacontenttype": "application/json", "time": "2026-11-21T10:18:08Z",
        "data": data, "operator": "admin", "requestid": "13cb62a2"
    })
}

fn pushes(body: Value) -> Vec<Pushed> {
    match pushes_in(body).expect("read") {
        HookEvent::Pushes(pushes) => pushes,
        HookEvent::Nothing(why) => panic!("{why}"),
    }
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut data = data();
    change(&mut data);
    data
}

#[test]
fn both_formats_name_the_image_by_digest_with_its_tag() {
    for body in [default_format(&data()), cloud_event(&data())] {
        let pushes = pushes(body);
        assert_eq!(
            pushes[0].image.to_string(),
            format!("10.88.0.2:8080/hooky/app:v1@{DIGEST}")
        );
    }
}

#[test]
fn a_webhook_that_comes_again_has_the_same_name_and_the_next_push_another() {
    let first = pushes(default_format(&data()));
    assert_eq!(first, pushes(default_format(&data())));
    let mut later = default_format(&data());
    later["occur_at"] = json!(1_795_256_289);
    assert_ne!(first[0].delivery, pushes(later)[0].delivery);
    let mut other = cloud_event(&data());
    other["id"] = json!("another");
    assert_ne!(
        pushes(cloud_event(&data()))[0].delivery,
        pushes(other)[0].delivery
    );
}

#[test]
fn a_host_without_dots_and_a_project_called_v2_are_what_they_are() {
    let odd = with(|data| {
        data["resources"][0]["resource_url"] = json!("harbor/v2/app:v1");
        data["repository"]["repo_full_name"] = json!("v2/app");
    });
    let image = pushes(default_format(&odd)).remove(0).image;
    assert_eq!(
        (image.registry.as_str(), image.repository.as_str()),
        ("harbor", "v2/app")
    );
}

#[test]
fn other_events_and_pushes_without_a_tag_lead_to_nothing() {
    for kind in [
        "PULL_ARTIFACT",
        "DELETE_ARTIFACT",
        "harbor.artifact.pulled",
        "",
        "x",
    ] {
        let read = pushes_in(json!({"type": kind, "event_data": {"resources": 7}}));
        assert!(matches!(read, Ok(HookEvent::Nothing(_))), "{kind}: {read:?}");
    }
    for tag in [json!(DIGEST), json!(""), json!(null)] {
        let untagged = with(|data| data["resources"][0]["tag"] = tag.clone());
        assert!(
            matches!(pushes_in(cloud_event(&untagged)), Ok(HookEvent::Nothing(_))),
            "{tag}"
        );
    }
}

#[test]
fn what_harbor_would_not_send_is_refused() {
    let bodies = [
        json!({}),
        json!([]),
        json!({"type": 7}),
        json!({"text": "a message for Slack"}),
        json!({"type": "PUSH_ARTIFACT"}),
        default_format(&json!({"resources": "x"})),
        default_format(&with(|data| data["repository"] = json!(null))),
        default_format(&with(|data| data["resources"][0]["resource_url"] = json!(null))),
        default_format(&with(|data| {
            data["resources"][0]["resource_url"] = json!("ann:pw@h/a:1");
        })),
        default_format(&with(|data| {
            data["resources"][0]["resource_url"] = json!("/etc/passwd");
        })),
        default_format(&with(|data| data["resources"][0]["digest"] = json!("sha256:12"))),
        default_format(&with(|data| data["resources"][0]["digest"] = json!(null))),
        default_format(&with(|data| data["resources"][0]["tag"] = json!("a\nb"))),
        default_format(&with(|data| {
            data["repository"]["repo_full_name"] = json!("../../x");
        })),
        default_format(&with(|data| {
            data["repository"]["repo_full_name"] = json!("a?b=c");
        })),
        default_format(
            &json!({"resources": vec![data()["resources"][0].clone(); 101], "repository": {"repo_full_name": "a/b"}}),
        ),
    ];
    for body in bodies {
        assert!(pushes_in(body.clone()).is_err(), "{body}");
    }
}
