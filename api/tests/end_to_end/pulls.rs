//! Preheat, stop the registry, pull with containerd.

use world::harbor::Wish;
use world::sha256sum::assert_seed_holds;
use world::{Containerd, ImageSpec, LayerSpec, ManagerSpec, Peer, Registry};

use crate::{assert_lists, described, preheat_well, up};

/// The log message of a peer that refuses a record.
const REFUSED_RECORD: &str = "record of a seed refused";

#[tokio::test(flavor = "multi_thread")]
async fn a_preheated_image_is_pulled_by_tag_and_by_digest_while_the_registry_is_down() {
    let mut registry = Registry::plain().await;
    let image = ImageSpec::new(1)
        .platforms(["linux/amd64", "linux/arm64"])
        .layers([
            LayerSpec::of(3 << 20),
            LayerSpec::of(70_000),
            LayerSpec::of(10).shared(),
        ])
        .build();
    registry.push(&image, "library/app", "v1").await;
    let manager = up(&registry).await;

    let poll = preheat_well(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    assert_lists(&poll, &image);
    assert_seed_holds(&manager.data_dir().join("peer"), image.digests()).await;

    registry.stop();
    for reference in [":v1".to_owned(), format!("@{}", image.root().digest)] {
        let containerd = Containerd::start().await;
        containerd.mirror(&registry, &manager.front_url());
        let name = format!("{}/library/app{reference}", registry.host());
        containerd
            .pull(&name, None)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_pulls_public_images_by_the_records_that_its_seed_carries_while_the_registry_is_down() {
    let mut registry = Registry::plain().await;
    let mut manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let _seed = Peer::seed("seed-1", &manager).await;
    let node = Peer::node("node-1", &manager).await;
    for number in [4, 5] {
        let (image, repository) = (ImageSpec::small(number).build(), format!("library/app-{number}"));
        registry.push(&image, &repository, "v1").await;
        let wish = Wish::new(registry.manifest_url(&repository, "v1")).scope("single_seed_peer");
        preheat_well(&manager, &wish).await;
        // The second image is signed after a restart, by the key that the peers know.
        manager.restart().await;
    }
    manager.kill9();
    registry.stop();
    for number in [4, 5] {
        let containerd = Containerd::start().await;
        containerd.mirror_only(&registry, &node.front_url());
        let name = format!("{}/library/app-{number}:v1", registry.host());
        let pulled = containerd.pull(&name, None).await;
        pulled.unwrap_or_else(|error| panic!("{name}: {error}\n{}", node.log()));
    }
    assert!(!node.log().contains(REFUSED_RECORD), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_its_own_authority_is_trusted_where_the_configuration_says_so() {
    let mut registry = Registry::tls().await;
    let image = ImageSpec::small(2).build();
    registry.push(&image, "library/app", "v1").await;
    let folder = tempfile::tempdir().expect("a folder");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, registry.ca_pem().expect("its own authority")).expect("written");
    let manager = ManagerSpec::new()
        .config(&described(&registry, Some(&ca_file)))
        .start_up()
        .await;

    preheat_well(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    registry.stop();
    let containerd = Containerd::start().await;
    containerd.mirror(&registry, &manager.front_url());
    let name = format!("{}/library/app:v1", registry.host());
    containerd.pull(&name, None).await.expect("pulled from the cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_never_preheated_is_pulled_through_the_front_and_kept() {
    let mut registry = Registry::plain().await;
    let image = ImageSpec::small(3).build();
    registry.push(&image, "library/app", "v1").await;
    let manager = up(&registry).await;
    let name = format!("{}/library/app:v1", registry.host());

    let first = Containerd::start().await;
    first.mirror_only(&registry, &manager.front_url());
    first.pull(&name, None).await.expect("pulled through");
    registry.stop();
    let second = Containerd::start().await;
    second.mirror_only(&registry, &manager.front_url());
    second.pull(&name, None).await.expect("pulled from the cache");
}
