//! What a registry can do wrong ends in a failed preheat that says what, where and whose side it was on.

use world::harbor::{State, Wish};
use world::sha256sum::sealed_digests;
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, Registry};

use crate::{preheat, up};

async fn broken(seed: u64, break_it: impl FnOnce(&Registry, &Image)) -> (Registry, Image, Manager, String) {
    let registry = Registry::plain().await;
    let image = ImageSpec::new(seed).layers([LayerSpec::of(3 << 20)]).build();
    registry.push(&image, "library/app", "v1").await;
    break_it(&registry, &image);
    let manager = up(&registry).await;
    let poll = preheat(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    assert_eq!(poll.state, State::Failure);
    let reason = poll.errors.join(" ");
    assert!(
        reason.contains("sha256:") && reason.contains("registry"),
        "{reason}"
    );
    let failed: Vec<_> = poll.rows.iter().filter(|row| !row.ok).collect();
    assert_eq!(
        failed.len(),
        1,
        "one row for the object that failed: {:?}",
        poll.rows
    );
    assert!(
        failed[0].url.ends_with(&image.layers()[0].digest),
        "{:?}",
        failed[0]
    );
    (registry, image, manager, reason)
}

/// What was never proven is not in the store, and a runtime does not get it as a whole.
async fn assert_not_given(registry: &Registry, image: &Image, manager: &Manager) {
    let layer = &image.layers()[0].digest;
    assert!(
        !sealed_digests(&manager.data_dir().join("peer")).contains(layer),
        "{layer} was sealed"
    );
    let containerd = Containerd::start().await;
    containerd.mirror_only(registry, &manager.front_url());
    let pulled = containerd
        .pull(&format!("{}/library/app:v1", registry.host()), None)
        .await;
    assert!(pulled.is_err(), "a wrong layer was pulled as a whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_with_other_bytes_is_never_sealed_nor_said_to_be_held() {
    let (registry, image, manager, _) =
        broken(51, |registry, image| registry.corrupt(&image.layers()[0].digest)).await;
    assert_not_given(&registry, &image, &manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_the_registry_lost_fails_with_its_name() {
    let (_, _, _, reason) = broken(52, |registry, image| registry.lose(&image.layers()[0].digest)).await;
    assert!(reason.contains("404"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_is_too_short_is_never_sealed() {
    let (registry, image, manager, _) = broken(53, |registry, image| {
        registry.shorten(&image.layers()[0].digest, 1 << 20);
    })
    .await;
    assert_not_given(&registry, &image, &manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tag_and_a_registry_that_is_not_there_fail_with_what_to_do() {
    let mut registry = Registry::plain().await;
    registry
        .push(&ImageSpec::small(54).build(), "library/app", "v1")
        .await;
    let manager = up(&registry).await;
    let poll = preheat(&manager, &Wish::new(registry.manifest_url("library/app", "nope"))).await;
    assert_eq!(poll.state, State::Failure);
    assert!(poll.errors.join(" ").contains("nope"), "{:?}", poll.errors);
    registry.stop();
    let poll = preheat(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    assert_eq!(poll.state, State::Failure);
    assert!(
        poll.errors.join(" ").contains(&registry.host()),
        "{:?}",
        poll.errors
    );
}
