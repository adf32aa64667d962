//! A push, told of by a real registry or by Harbor's webhook, becomes a finished preheat.

use serde_json::{Value, json};
use world::sha256sum::assert_seed_holds;
use world::{Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Registry, eventually};

use crate::{LIMIT, described};

fn two_platforms(seed: u64) -> Image {
    ImageSpec::new(seed)
        .platforms(["linux/amd64", "linux/arm64"])
        .layers([LayerSpec::of(200_000), LayerSpec::of(4_000)])
        .build()
}

/// `stoker up` that preheats what is pushed to this registry as `v…`.
async fn up_with_a_rule(registry: &Registry) -> Manager {
    let rule = format!(
        "[[trigger]]\nregistry = \"{}\"\nrepository = \"library/**\"\ntag = \"v*\"\nscope = \"all_seed_peers\"\n",
        registry.host()
    );
    ManagerSpec::new()
        .config(&described(registry, None))
        .config(&rule)
        .start_up()
        .await
}

/// Waits until so many preheats have ended well; none may fail.
async fn succeeded(manager: &Manager, count: usize) -> Vec<Value> {
    eventually("the pushed images are preheated", LIMIT, async || {
        let list = manager.get("/api/v1/preheats").await;
        let preheats = list["preheats"].as_array().expect("preheats").clone();
        assert!(preheats.iter().all(|one| one["state"] != "failed"), "{list}");
        let ended = preheats.iter().all(|one| one["state"] == "succeeded");
        (ended && preheats.len() >= count).then_some(preheats)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_to_a_real_registry_is_preheated_tag_by_tag() {
    let mut registry = Registry::plain().await;
    let manager = up_with_a_rule(&registry).await;
    let endpoint = manager.new_endpoint().await;
    registry
        .tell(&format!("{}{endpoint}/registry/notifications", manager.url()))
        .await;
    let image = two_platforms(71);
    // An index: two manifests and six blobs are pushed without a tag, and told of too.
    registry.push(&image, "library/app", "v1").await;
    registry
        .push(&ImageSpec::small(72).build(), "library/other", "latest")
        .await;
    registry
        .push(&ImageSpec::small(73).build(), "team/other", "v1")
        .await;
    let last = ImageSpec::small(74).build();
    registry.push(&last, "library/app", "v2").await;
    // Told of in order: once the last one is there, all others have been looked at.
    let preheats = succeeded(&manager, 2).await;
    let mut images: Vec<String> = preheats
        .iter()
        .map(|one| one["image"].as_str().expect("an image").to_owned())
        .collect();
    images.sort();
    let named =
        |tag: &str, image: &Image| format!("{}/library/app:{tag}@{}", registry.host(), image.root().digest);
    assert_eq!(images, [named("v1", &image), named("v2", &last)]);
    assert_eq!(preheats[0]["scope"], "all_seed_peers");
    assert_seed_holds(&manager.peer_data_dir(), image.digests()).await;
    assert_seed_holds(&manager.peer_data_dir(), last.digests()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_real_registry_with_relative_urls_is_preheated() {
    let mut registry = Registry::plain().await;
    registry.use_relative_urls().await;
    let manager = up_with_a_rule(&registry).await;
    let endpoint = manager.new_endpoint().await;
    registry
        .tell(&format!("{}{endpoint}/registry/notifications", manager.url()))
        .await;
    let image = ImageSpec::small(78).build();
    registry.push(&image, "library/app", "v1").await;
    let preheats = succeeded(&manager, 1).await;
    let named = format!("{}/library/app:v1@{}", registry.host(), image.root().digest);
    assert_eq!(preheats[0]["image"], named);
    assert_seed_holds(&manager.peer_data_dir(), image.digests()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_while_the_manager_is_away_is_preheated_when_it_is_back() {
    let mut registry = Registry::plain().await;
    let mut manager = up_with_a_rule(&registry).await;
    let endpoint = manager.new_endpoint().await;
    registry
        .tell(&format!("{}{endpoint}/registry/notifications", manager.url()))
        .await;
    manager.stop().await;
    let image = ImageSpec::small(75).build();
    registry.push(&image, "library/app", "v1").await;
    manager.start_again().await;
    let preheats = succeeded(&manager, 1).await;
    assert_eq!(preheats.len(), 1, "{preheats:?}");
    assert_seed_holds(&manager.peer_data_dir(), image.digests()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harbors_webhook_in_either_format_becomes_a_finished_preheat() {
    let registry = Registry::plain().await;
    let manager = up_with_a_rule(&registry).await;
    let endpoint = manager.new_endpoint().await;
    for (n, tag) in ["v1", "v2"].into_iter().enumerate() {
        let image = ImageSpec::small(76 + n as u64).build();
        registry.push(&image, "library/app", tag).await;
        let data = json!({
            "resources": [{
                "digest": image.root().digest, "tag": tag,
                "resource_url": format!("{}/library/app:{tag}", registry.host())
            }],
            "repository": {
                "date_created": 1_795_256_288, "name": "app", "namespace": "library",
                "repo_full_name": "library/app", "repo_type": "private"
            }
        });
        let webhook = if tag == "v1" {
            json!({"type": "PUSH_ARTIFACT", "occur_at": 1_795_256_288, "operator": "admin", "event_data": data})
        } else {
            json!({
                "specversion": "1.0", "id": "250302ed-462b-4c52-a2f0-7c521bc0166c",
                "source": "/projects/16/webhook/policies/2", "type": "harbor.artifact.pushed",
                "datacontenttype": "application/json", "time": "2026-11-21T10:18:08Z", "data": data,
                "operator": "admin", "requestid": "13cb62a2-3c74-4eec-a6ea-4d8cf0e6ce2f"
            })
        };
        let door = format!("{endpoint}/hooks/harbor");
        let told = manager.bare_post(&door, &webhook).await;
        assert_eq!(told, manager.bare_post(&door, &webhook).await, "told again");
        succeeded(&manager, n + 1).await;
        assert_seed_holds(&manager.peer_data_dir(), image.digests()).await;
    }
    assert_eq!(succeeded(&manager, 2).await.len(), 2);
}
