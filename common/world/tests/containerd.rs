//! A real containerd pulls from each kind of registry.

use world::registry::{BearerSpec, PASSWORD, SignIn, USER};
use world::{Containerd, Image, ImageSpec, LayerSpec, Registry};

async fn registry_with(registry: Registry, seed: u64) -> (Registry, Image, String) {
    let spec = ImageSpec::new(seed).platforms(["linux/amd64", "linux/arm64"]);
    let image = spec
        .layer(LayerSpec::of(300_000))
        .layer(LayerSpec::plain(8192))
        .build();
    registry.push(&image, "library/app", "v1").await;
    let name = format!("{}/library/app:v1", registry.host());
    (registry, image, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_and_pulled_again_after_its_removal() {
    let (mut registry, image, name) = registry_with(Registry::plain().await, 1).await;
    let containerd = Containerd::start().await;
    containerd.direct(&registry);
    for seed in [image, ImageSpec::small(2).docker().build()] {
        registry.push(&seed, "library/app", "v1").await;
        registry.forget_requests().await;
        let layer = &seed.layers()[0].digest;
        for time in 1..=2 {
            containerd.pull(&name, None).await.expect("pulled");
            assert_eq!(registry.gets_of(layer).await, time);
            containerd.remove_all().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_platforms_are_fetched() {
    let (registry, image, name) = registry_with(Registry::plain().await, 3).await;
    let containerd = Containerd::start().await;
    containerd.direct(&registry);
    containerd.fetch(&name, None).await.expect("fetched");
    let content = containerd.content().await;
    for digest in image.digests() {
        assert!(
            content.iter().any(|held| held == digest),
            "{digest} is not in {content:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_basic_and_bearer_are_supported() {
    let bearer = SignIn::Bearer(BearerSpec::default());
    for registry in [
        Registry::tls().await,
        Registry::basic().await,
        Registry::with(bearer, false).await,
    ] {
        let needs_password = registry.is_plain_http();
        let (registry, _image, name) = registry_with(registry, 4).await;
        let containerd = Containerd::start().await;
        containerd.direct(&registry);
        containerd
            .pull(&name, Some((USER, PASSWORD)))
            .await
            .expect("pulled");
        containerd.remove_all().await;
        if needs_password {
            let refused = containerd
                .pull(&name, Some((USER, "wrong")))
                .await
                .expect_err("a wrong password");
            assert!(refused.contains("401") || refused.contains("403"), "{refused}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_used_first_or_alone() {
    let (mut registry, _image, name) = registry_with(Registry::plain().await, 5).await;
    let mirror = Registry::plain().await;
    let containerd = Containerd::start().await;
    containerd.mirror(&registry, &mirror.url());
    containerd
        .pull(&name, None)
        .await
        .expect("the registry serves what the mirror lacks");
    containerd.remove_all().await;
    containerd.mirror_only(&registry, &mirror.url());
    registry.forget_requests().await;
    containerd
        .pull(&name, None)
        .await
        .expect_err("the mirror has nothing");
    assert_eq!(registry.requests().await, []);
}
