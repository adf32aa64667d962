//! A second attempt: only what is missing moves.

use world::{ImageSpec, LayerSpec, ManagerSpec, Peer, Registry};

use crate::described;

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_asks_the_registry_only_for_what_is_missing() {
    let image = ImageSpec::new(72)
        .layers([
            LayerSpec::of(400_000),
            LayerSpec::of(200_000),
            LayerSpec::of(3_000),
        ])
        .build();
    let mut registry = Registry::plain().await;
    registry.push(&image, "library/app", "v1").await;
    let layers = image.layers();
    let lost = &layers.last().expect("a layer").digest;
    registry.lose(lost);
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let _seed = Peer::seed("seed-1", &manager).await;
    let name = format!("http://{}/library/app:v1", registry.host());
    let asked = manager.stoker(&["preheat", &name]).await;
    assert!(asked.status.success(), "it is taken");
    until(&manager, "failed").await;

    registry.push(&image, "library/app", "v1").await;
    registry.forget_requests().await;
    let retried = manager.stoker(&["retry", "1"]).await;
    assert!(
        retried.status.success(),
        "{}",
        String::from_utf8_lossy(&retried.stderr)
    );
    let view = until(&manager, "succeeded").await;
    assert_eq!(view["attempt"], 2);
    for layer in layers {
        let gets = registry.gets_of(&layer.digest).await;
        assert_eq!(gets, usize::from(layer.digest == *lost), "{}", layer.digest);
    }
}

async fn until(manager: &world::Manager, state: &str) -> serde_json::Value {
    world::eventually("the attempt is over", crate::LIMIT, async || {
        let view = manager.get("/api/v1/preheats/1").await;
        (view["state"] == state).then_some(view)
    })
    .await
}
