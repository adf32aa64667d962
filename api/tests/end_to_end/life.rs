//! The life of a preheat as people see it on the command line: listed, cancelled, tried again, done.

use std::time::Duration;

use world::{Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry};

use crate::{described, transcript};

fn image(seed: u64) -> Image {
    ImageSpec::new(seed).layers([LayerSpec::of(200_000)]).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_is_cancelled_found_again_and_tried_again_until_it_is_done() {
    let registry = Registry::plain().await;
    registry.push(&image(71), "library/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let name = format!("http://{}/library/app:v1", registry.host());

    let asked = manager.stoker(&["preheat", "--priority", "high", &name]).await;
    assert!(asked.status.success(), "{}", transcript(&asked));
    let open = manager
        .stoker(&["preheats", "--state", "open", "--image", "LIBRARY/app"])
        .await;
    assert!(
        transcript(&open).contains("library/app:v1"),
        "{}",
        transcript(&open)
    );

    let cancelled = manager.stoker(&["cancel", "1"]).await;
    assert!(
        cancelled.status.success() && transcript(&cancelled).contains("cancelled"),
        "{}",
        transcript(&cancelled)
    );
    let again = manager.stoker(&["cancel", "1", "99"]).await;
    assert_eq!(again.status.code(), Some(1), "{}", transcript(&again));
    let none = manager.stoker(&["preheats", "--state", "open"]).await;
    assert!(
        none.status.success() && none.stdout.is_empty(),
        "{}",
        transcript(&none)
    );

    let _seed = Peer::seed("seed-1", &manager).await;
    let retried = manager.stoker(&["retry", "1"]).await;
    assert!(retried.status.success(), "{}", transcript(&retried));
    world::eventually("the second attempt is done", crate::LIMIT, async || {
        let view = manager.get("/api/v1/preheats/1").await;
        (view["state"] == "succeeded").then_some(())
    })
    .await;
    let shown = manager.stoker(&["preheats", "1"]).await;
    let shown = transcript(&shown);
    let has_attempt = |line: &str| line.split_whitespace().eq(["attempt", "2"]);
    assert!(shown.lines().any(has_attempt), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_requests_share_their_work_and_a_count_narrows_a_scope() {
    let mut registry = Registry::plain().await;
    let image = image(72);
    registry.push(&image, "library/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let name = format!("http://{}/library/app:v1", registry.host());
    for _ in 0..3 {
        let asked = manager
            .stoker(&["preheat", "--scope", "all_peers", "--count", "1", &name])
            .await;
        assert!(asked.status.success(), "{}", transcript(&asked));
    }
    let _peers = [
        Peer::seed("seed-1", &manager).await,
        Peer::node("node-1", &manager).await,
        Peer::node("node-2", &manager).await,
    ];
    world::eventually("all three are done", crate::LIMIT, async || {
        let page = manager.get("/api/v1/preheats?state=succeeded").await;
        (page["preheats"].as_array()?.len() == 3).then_some(())
    })
    .await;
    for layer in image.layers() {
        assert_eq!(
            registry.gets_of(&layer.digest).await,
            1,
            "GETs of {}",
            layer.digest
        );
    }
    // No peer was connected at the requests, so any of the preheats may be the leader.
    let mut leaders = 0;
    for id in 1..=3 {
        let view = manager.get(&format!("/api/v1/preheats/{id}")).await;
        leaders += i32::from(view["follows"].is_null());
        assert_eq!(view["peers"], serde_json::json!({"count": 1}), "{view}");
    }
    let pages = manager.stoker(&["preheats", "--limit", "2"]).await;
    assert!(transcript(&pages).contains("--before"), "{}", transcript(&pages));
    let last = manager
        .stoker(&["preheats", "--limit", "2", "--before", "2"])
        .await;
    assert!(
        transcript(&last).contains("library/app:v1") && !transcript(&last).contains("--before"),
        "{}",
        transcript(&last)
    );
    assert!(leaders >= 1, "no preheat is the leader");
}

/// Far less than a seed would wait for a registry that has fallen silent.
const MOMENTS: Duration = Duration::from_secs(15);

async fn lots_running(seed: &Peer) -> Option<String> {
    let url = format!("{}/metrics", seed.admin_url());
    let text = world::http::client(None)
        .get(url)
        .send()
        .await
        .ok()?
        .text()
        .await
        .ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("stoker_lots_running "))
        .map(str::to_owned)
}

/// Has the registry fall silent while the seed fetches, and cancels; `false`: the seed was done before.
async fn caught_in_the_middle(registry: &mut Registry, manager: &Manager, seed: &Peer, id: i64) -> bool {
    let name = format!("http://{}/library/app:v{id}", registry.host());
    manager.stoker(&["preheat", &name]).await;
    world::eventually("the seed has taken it", crate::LIMIT, async || {
        let view = manager.get(&format!("/api/v1/preheats/{id}")).await;
        let is_running = lots_running(seed).await? == "1";
        (is_running || view["state"] == "succeeded").then_some(())
    })
    .await;
    registry.hang();
    manager
        .stoker(&["cancel", &id.to_string()])
        .await
        .status
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_waits_for_a_silent_registry_stops_when_its_preheat_is_cancelled() {
    let mut registry = Registry::plain().await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let seed = Peer::seed("seed-1", &manager).await;
    // A fast seed may be done before the registry falls silent; then the next image has to do.
    for id in 1_i64..=5 {
        let image = ImageSpec::new(730 + id.unsigned_abs())
            .layers([LayerSpec::of(64 << 20)])
            .build();
        registry.push(&image, "library/app", &format!("v{id}")).await;
        if !caught_in_the_middle(&mut registry, &manager, &seed, id).await {
            registry.resume();
            continue;
        }
        world::eventually("the seed has stopped", MOMENTS, async || {
            (lots_running(&seed).await? == "0").then_some(())
        })
        .await;
        registry.resume();
        let retried = manager.stoker(&["retry", &id.to_string()]).await;
        assert!(retried.status.success(), "{}", transcript(&retried));
        world::eventually("the second attempt is done", crate::LIMIT, async || {
            let view = manager.get(&format!("/api/v1/preheats/{id}")).await;
            (view["state"] == "succeeded").then_some(())
        })
        .await;
        world::sha256sum::assert_seed_holds(&seed.data_dir(), image.digests()).await;
        return;
    }
    panic!("no seed was caught in the middle");
}
