//! Registries on this machine, its link and its cloud are dialled only if somebody wrote that down.

use world::harbor::{State, Wish};
use world::{Image, ImageSpec, ManagerSpec, PeerSpec, Registry};

use crate::{assert_lists, described, preheat, preheat_well};

/// The test world lists loopback unless a configuration speaks of dialling itself.
const NOTHING_LISTED: &str = "[dial]\n";

async fn pushed(seed: u64) -> (Registry, Image) {
    let registry = Registry::plain().await;
    let image = ImageSpec::small(seed).build();
    registry.push(&image, "team/app", "v1").await;
    (registry, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preheat_opens_no_registry_on_loopback() {
    let (mut registry, _) = pushed(71).await;
    let manager = ManagerSpec::new().config(NOTHING_LISTED).start().await;
    let _seed = PeerSpec::seed("seed")
        .config(NOTHING_LISTED)
        .start(&manager)
        .await;
    registry.forget_requests().await;
    let poll = preheat(&manager, &Wish::new(registry.manifest_url("team/app", "v1"))).await;
    assert_eq!(poll.state, State::Failure);
    let reason = poll.errors.join(" ");
    let wanted = format!("[registry.\"{}\"]", registry.host());
    assert!(reason.contains(&wanted), "{reason}");
    assert!(registry.requests().await.is_empty(), "the registry was dialled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_the_manager_describes_is_dialled_by_its_peers_too() {
    let (registry, image) = pushed(72).await;
    let config = described(&registry, None) + NOTHING_LISTED;
    let manager = ManagerSpec::new().config(&config).start().await;
    let _seed = PeerSpec::seed("seed")
        .config(NOTHING_LISTED)
        .start(&manager)
        .await;
    let poll = preheat_well(&manager, &Wish::new(registry.manifest_url("team/app", "v1"))).await;
    assert_lists(&poll, &image);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_the_manager_lists_hold_for_its_peers() {
    let (registry, image) = pushed(73).await;
    let listed = "[dial]\naddresses = [\"127.0.0.1\"]\n";
    let manager = ManagerSpec::new().config(listed).start().await;
    let _seed = PeerSpec::seed("seed")
        .config(NOTHING_LISTED)
        .start(&manager)
        .await;
    let poll = preheat_well(&manager, &Wish::new(registry.manifest_url("team/app", "v1"))).await;
    assert_lists(&poll, &image);
}

#[tokio::test(flavor = "multi_thread")]
async fn preheats_open_no_registries_where_that_is_switched_off() {
    let (registry, image) = pushed(74).await;
    let closed = "[dial]\naddresses = [\"127.0.0.0/8\"]\nopen_by_preheat = false\n";
    let manager = ManagerSpec::new().config(closed).start().await;
    let wish = Wish::new(registry.manifest_url("team/app", "v1"));
    let refused = manager.harbor().preheat(&wish).await.expect_err("not open");
    assert!(format!("{refused:?}").contains("open_by_preheat"), "{refused:?}");
    let open = format!("{closed}allow = [\"{}\"]\n", registry.host());
    let manager = ManagerSpec::new().config(&open).start_up().await;
    assert_lists(&preheat_well(&manager, &wish).await, &image);
}
