//! A seed with a valid certificate that lies: its store is served unchecked.

use std::time::Duration;

use http::StatusCode;
use oci::Digest;
use store::testing::Signer;
use wire::PublicProof;

use super::support::{FrontFixture, Image, SignIn, basic};

const HOUR: Duration = Duration::from_secs(3_600);

fn hours_before(now_ms: i64, hours: i64) -> i64 {
    now_ms - hours * 3_600_000
}

/// A node that holds a private image, and a clock that is years after 1970.
async fn with_private_image() -> (FrontFixture, Image) {
    let world = FrontFixture::new(SignIn::Basic).await;
    world.let_time_pass(HOUR * 24 * 365 * 30);
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &image, Some(&ann)).await, StatusCode::OK);
    (world, image)
}

async fn read_by_nobody(world: &FrontFixture, image: &Image) -> StatusCode {
    let path = format!("/v2/a/blobs/{}", image.layer);
    world.get(&path, None).await.status
}

/// What a hostile seed may send: everything but a record of our manager for this object, place, cluster and time.
fn forged(world: &FrontFixture, image: &Image) -> Vec<PublicProof> {
    let (signer, here, now) = (&world.signer, world.location("a"), world.now());
    vec![
        Signer::of("default").public(&image.layer, &here, now),
        signer.public(&image.layer, &world.location("open"), now),
        signer.public(&Digest::of(b"a public layer"), &here, now),
        signer.for_cluster("elsewhere").public(&image.layer, &here, now),
        signer.public(&image.layer, &here, now + 3_600_000),
        signer.public(&image.layer, &here, hours_before(now, 8 * 24)),
    ]
}

#[tokio::test]
async fn a_hostile_seed_makes_nothing_public_that_the_manager_did_not_sign() {
    for (is_reachable, refused) in [
        (true, StatusCode::UNAUTHORIZED),
        (false, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let (mut world, image) = with_private_image().await;
        let (here, now) = (world.location("a"), world.now());
        for proof in forged(&world, &image) {
            let seed = world.add_seed().await;
            seed.record_public(&image.layer, &here, now, &proof);
        }
        if !is_reachable {
            world.stop_registry().await;
        }
        assert_eq!(read_by_nobody(&world, &image).await, refused);
        // The manager's own record opens it.
        let (mut world, image) = with_private_image().await;
        let seed = world.add_seed().await;
        world.say_public(&seed, &image.layer, "a");
        if !is_reachable {
            world.stop_registry().await;
        }
        assert_eq!(read_by_nobody(&world, &image).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_public_ages_from_the_time_that_the_manager_signed() {
    let (mut world, image) = with_private_image().await;
    let (here, now) = (world.location("a"), world.now());
    let old = world.signer.public(&image.layer, &here, hours_before(now, 7));
    let seed = world.add_seed().await;
    // The seed claims that the record is new.
    seed.record_public(&image.layer, &here, now, &old);
    assert_eq!(read_by_nobody(&world, &image).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_old_record_of_one_seed_does_not_hide_the_new_one_of_another() {
    let (mut world, image) = with_private_image().await;
    let (here, now) = (world.location("a"), world.now());
    for hours in [9, 8, 0, 10] {
        let found_ms = hours_before(now, hours);
        let proof = world.signer.public(&image.layer, &here, found_ms);
        world
            .add_seed()
            .await
            .record_public(&image.layer, &here, now, &proof);
    }
    assert_eq!(read_by_nobody(&world, &image).await, StatusCode::OK);
}

#[tokio::test]
async fn a_missing_answer_of_a_seed_is_not_kept() {
    let (mut world, image) = with_private_image().await;
    let _silent = world.add_silent_seed().await;
    assert_eq!(read_by_nobody(&world, &image).await, StatusCode::UNAUTHORIZED);
    let (here, now) = (world.location("a"), world.now());
    let proof = world.signer.public(&image.layer, &here, now);
    world
        .add_seed()
        .await
        .record_public(&image.layer, &here, now, &proof);
    assert_eq!(read_by_nobody(&world, &image).await, StatusCode::OK);
}

/// The response to a `HEAD` of the tag while the registry is unreachable.
async fn meant(world: &FrontFixture, authorization: &str) -> (StatusCode, String) {
    let head = world.head("/v2/a/manifests/v1", Some(authorization)).await;
    (head.status, head.header("docker-content-digest").to_owned())
}

#[tokio::test]
async fn a_hostile_seed_gives_a_tag_no_meaning_that_the_manager_did_not_sign() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    world.let_time_pass(HOUR * 24 * 365 * 30);
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    let pulled = world.pull_by_digest("a", &image, Some(&ann)).await;
    assert_eq!(pulled, StatusCode::OK);
    let now = world.now();
    let here = world.meant("a", &image.index, now);
    let signer = &world.signer;
    let forged = [
        Signer::of("default").tag(&here),
        signer.for_cluster("elsewhere").tag(&here),
        signer.tag(&world.meant("open", &image.index, now)),
        signer.tag(&world.meant("a", &image.index, now + 3_600_000)),
    ];
    for signed in forged {
        let seed = world.add_seed().await;
        seed.record_signed_tag(&here, &signed);
    }
    world.stop_registry().await;
    let (status, _) = meant(&world, &ann).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_replayed_older_meaning_of_a_tag_counts_for_nothing_where_a_newer_one_is_known() {
    let mut world = FrontFixture::new(SignIn::Basic).await;
    world.let_time_pass(HOUR * 24 * 365 * 30);
    let old = world.registry.push("a", "old layer");
    let ann = basic("ann", "pw-ann");
    assert_eq!(world.pull("a", &old, Some(&ann)).await, StatusCode::OK);
    let replayed = world.meant("a", &old.index, hours_before(world.now(), 1));
    let new = world.registry.push("a", "new layer");
    assert_eq!(world.pull("a", &new, Some(&ann)).await, StatusCode::OK);
    let hostile = world.add_seed().await;
    let signed = world.signer.tag(&replayed);
    hostile.record_signed_tag(&replayed, &signed);
    world.stop_registry().await;
    let (status, digest) = meant(&world, &ann).await;
    assert_eq!((status, digest.as_str()), (StatusCode::OK, new.index.as_str()));
    // Also after another seed sent a newer one.
    let honest = world.add_seed().await;
    let newest = world.meant("a", &new.index, world.now() + 1);
    let signed = world.signer.tag(&newest);
    honest.record_signed_tag(&newest, &signed);
    for _ in 0..2 {
        assert_eq!(meant(&world, &ann).await.1, new.index.as_str());
    }
}
