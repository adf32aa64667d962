//! Registries that serve only so many requests at once: a preheat gets narrower, and succeeds.

use std::time::Duration;

use world::{CountingRegistry, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Refusing};

const LAYERS: u64 = 12;

async fn registry(allowed: usize, status: u16, retry_after: Option<u64>) -> CountingRegistry {
    let image = ImageSpec::new(96)
        .layers((0..LAYERS).map(|_| LayerSpec::of(1 << 20)))
        .build();
    let how = Refusing {
        allowed,
        status,
        retry_after,
        layer_takes: Duration::from_millis(200),
    };
    CountingRegistry::start(image, how).await
}

fn plain_http(registry: &CountingRegistry) -> String {
    format!("[registry.\"{}\"]\nplain_http = true\n", registry.host())
}

async fn preheated(manager: &Manager, registry: &CountingRegistry) -> std::process::Output {
    let image = format!("http://{}/library/app:v1", registry.host());
    manager.stoker(&["preheat", "--wait", &image]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_allows_few_requests_at_once_is_preheated_from() {
    for (allowed, status, retry_after) in [(2, 429, None), (1, 429, Some(1)), (1, 503, None)] {
        let registry = registry(allowed, status, retry_after).await;
        let manager = ManagerSpec::new().config(&plain_http(&registry)).start_up().await;
        let output = preheated(&manager, &registry).await;
        let counts = registry.counts();
        assert!(output.status.success(), "{counts:?} {output:?}");
        assert_eq!(counts.most, allowed, "{counts:?}");
        assert!(counts.refused > 0, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_share_what_a_registry_allows() {
    let registry = registry(1, 429, None).await;
    let manager = ManagerSpec::new().config(&plain_http(&registry)).start().await;
    let _seeds = (
        Peer::seed("seed-1", &manager).await,
        Peer::seed("seed-2", &manager).await,
        Peer::seed("seed-3", &manager).await,
    );
    let output = preheated(&manager, &registry).await;
    assert!(output.status.success(), "{:?} {output:?}", registry.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preheat_says_how_many_requests_the_registry_allows() {
    let image = ImageSpec::new(97)
        .layers((0..6).map(|_| LayerSpec::of(1 << 20)))
        .build();
    let how = Refusing {
        allowed: 2,
        status: 429,
        retry_after: None,
        layer_takes: Duration::from_secs(4),
    };
    let registry = CountingRegistry::start(image, how).await;
    let manager = ManagerSpec::new().config(&plain_http(&registry)).start_up().await;
    let image = format!("http://{}/library/app:v1", registry.host());
    assert!(manager.stoker(&["preheat", &image]).await.status.success());
    // The first refusals narrow step by step, and now and then one request more is tried.
    world::eventually("the preheat says why it is slow", crate::LIMIT, async || {
        let view = manager.get("/api/v1/preheats/1").await;
        (view["reason"] == "registry allows 2 at once").then_some(())
    })
    .await;
    let view = world::eventually("the preheat is over", crate::LIMIT, async || {
        let view = manager.get("/api/v1/preheats/1").await;
        (view["state"] == "succeeded").then_some(view)
    });
    assert!(view.await["reason"].is_null());
}
