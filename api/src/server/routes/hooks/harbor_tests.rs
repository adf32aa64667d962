//! What is read out of webhooks, and what is not.

use axum::http::HeaderMap;
use oci::ImageReference;
use serde_json::{Value, json};

use super::*;
use crate::server::triggers::HookSettings;

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

fn pushes_in(body: Value) -> Result<HookEvent, Problem> {
    read(&Message {
        headers: &HeaderMap::new(),
        body,
        settings: &HookSettings::default(),
    })
}

fn pushes(body: Value) -> Vec<ImageReference> {
    match pushes_in(body).expect("read") {
        HookEvent::Pushes { images, .. } => images,
        other => panic!("{other:?}"),
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
            pushes[0].to_string(),
            format!("10.88.0.2:8080/hooky/app:v1@{DIGEST}")
        );
    }
}

#[test]
fn cloud_events_have_an_id_and_the_default_format_has_a_time() {
    let id = |body: Value| match pushes_in(body).expect("read") {
        HookEvent::Pushes { id, .. } => id,
        other => panic!("{other:?}"),
    };
    assert_eq!(id(default_format(&data())), EventId::Body);
    let given = "250302ed-462b-4c52-a2f0-7c521bc0166c".to_owned();
    assert_eq!(id(cloud_event(&data())), EventId::Given(given));
}

#[test]
fn a_host_without_dots_and_a_project_called_v2_are_what_they_are() {
    let odd = with(|data| {
        data["resources"][0]["resource_url"] = json!("harbor/v2/app:v1");
        data["repository"]["repo_full_name"] = json!("v2/app");
    });
    let image = pushes(default_format(&odd)).remove(0);
    assert_eq!(
        (image.registry.as_str(), image.repository.as_str()),
        ("harbor", "v2/app")
    );
}

#[test]
fn other_events_lead_to_nothing() {
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
    let empty = with(|data| data["resources"] = json!([]));
    assert!(matches!(
        pushes_in(cloud_event(&empty)),
        Ok(HookEvent::Nothing(_))
    ));
}

#[test]
fn a_push_without_a_tag_names_the_image_by_its_digest() {
    for tag in [json!(DIGEST), json!(""), json!(null)] {
        let untagged = with(|data| {
            data["resources"][0]["tag"] = tag.clone();
            data["resources"][0]["resource_url"] = json!(format!("10.88.0.2:8080/hooky/app@{DIGEST}"));
        });
        let image = pushes(cloud_event(&untagged)).remove(0);
        assert_eq!(image.to_string(), format!("10.88.0.2:8080/hooky/app@{DIGEST}"));
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
    ];
    for body in bodies {
        assert!(pushes_in(body.clone()).is_err(), "{body}");
    }
}
