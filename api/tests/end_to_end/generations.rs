//! Harbor 2.1 to 2.11 and its provider "Kraken", on real parts: from the POST to the pull.

use serde_json::{Value, json};
use world::registry::{BearerSpec, PASSWORD, USER};
use world::sha256sum::assert_seed_holds;
use world::{Containerd, ImageSpec, Manager, ManagerSpec, Registry, eventually};

use crate::{LIMIT, described};

/// As Harbor polls, until it is one of the two words that end its task.
async fn until_ended(manager: &Manager, path: &str) -> Value {
    eventually("the preheat has ended", LIMIT, async || {
        let polled = manager.bare_get(path).await;
        let status = polled["status"].as_str().expect("a status").to_owned();
        assert!(
            ["WAITING", "RUNNING", "SUCCESS", "FAIL"].contains(&status.as_str()),
            "{polled}"
        );
        matches!(status.as_str(), "SUCCESS" | "FAIL").then_some(polled)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_of_harbor_2_11_is_pulled_by_tag_with_the_registry_gone() {
    let mut registry = Registry::bearer(BearerSpec::default()).await;
    let image = ImageSpec::small(61).build();
    registry.push(&image, "team/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start_up()
        .await;
    let endpoint = manager.new_endpoint().await;
    let jwt = registry.token_server().jwt_for(USER, "team/app");
    let asked = json!({
        "type": "image", "url": registry.manifest_url("team/app", "v1"),
        "headers": {"Authorization": format!("Bearer {jwt}")},
        "image": "team/app", "tag": "v1", "digest": image.root().digest,
    });
    let created = manager.bare_post(&format!("{endpoint}/preheats"), &asked).await;
    let id = created["ID"].as_str().expect("a text");
    let polled = until_ended(&manager, &format!("{endpoint}/preheats/{id}")).await;
    assert_eq!(polled["status"], "SUCCESS", "{polled}");
    assert_seed_holds(&manager.peer_data_dir(), image.digests()).await;

    let name = format!("{}/team/app:v1", registry.host());
    // Once with the registry, so that this account's yes is known; the tag's meaning came with the preheat.
    let first = Containerd::start().await;
    first.mirror_only(&registry, &manager.front_url());
    first.pull(&name, Some((USER, PASSWORD))).await.expect("pulled");
    registry.stop();
    let second = Containerd::start().await;
    second.mirror_only(&registry, &manager.front_url());
    second
        .pull(&name, Some((USER, PASSWORD)))
        .await
        .expect("pulled by tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_ends_in_the_word_that_harbor_2_1_knows_with_the_reason_beside_it() {
    let registry = Registry::bearer(BearerSpec::default()).await;
    registry
        .push(&ImageSpec::small(62).build(), "team/app", "v1")
        .await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start_up()
        .await;
    let endpoint = manager.new_endpoint().await;
    let asked = json!({
        "type": "image", "url": registry.manifest_url("team/app", "v1"),
        "headers": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30.ZGVhZA"},
    });
    let created = manager.bare_post(&format!("{endpoint}/preheats"), &asked).await;
    let id = created["ID"].as_str().expect("a text");
    let polled = until_ended(&manager, &format!("{endpoint}/preheats/{id}")).await;
    assert_eq!(polled["status"], "FAIL", "{polled}");
    let reason = polled["errorMsg"].as_str().expect("a text");
    assert!(
        reason.contains("401") && reason.contains("side: caller"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kraken_names_is_fetched_with_the_configured_credential() {
    let registry = Registry::basic().await;
    let image = ImageSpec::small(63).build();
    registry.push(&image, "team/app", "v1").await;
    let account = format!("username = \"{USER}\"\npassword = \"{PASSWORD}\"\n");
    let manager = ManagerSpec::new()
        .config(&(described(&registry, None) + &account))
        .start_up()
        .await;
    let endpoint = manager.new_endpoint().await;
    let event = json!({"Events": [{
        "Id": "HbFtKW35b1Ufy3ilxhxqkrm7u0WY3Of9", "TimeStamp": "2026-11-21T10:07:07.328754372Z", "Action": "push",
        "Target": {
            "MediaType": "application/vnd.docker.distribution.manifest.v2+json", "Digest": image.root().digest,
            "Repository": "team/app", "Url": registry.manifest_url("team/app", "v1"), "Tag": "v1"
        },
        "Request": null, "Actor": null
    }]});
    let told = manager
        .bare_post(&format!("{endpoint}/registry/notifications"), &event)
        .await;
    let id = told["preheats"][0].as_i64().expect("an id");
    let path = format!("{endpoint}/preheats/{id}");
    let polled = until_ended(&manager, &path).await;
    assert_eq!(polled["status"], "SUCCESS", "{polled}");
    assert_seed_holds(&manager.peer_data_dir(), image.digests()).await;
}
