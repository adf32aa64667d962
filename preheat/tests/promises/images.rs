//! Images that are pinned, blocked, or were taken off: what peers are told, and what preheats are.

use std::collections::HashSet;
use std::time::Duration;

use oci::ImageReference;
use preheat::image_rules::{Author, ImageRule, RemovedImage, RuleError, RuleKind, lift, list, pin, remove};
use preheat::{PreheatState, Scope, SubmitError};
use wire::{ImageRules, KnownImageRules, TakeRequest};

use crate::support::{Peer, START_MS, World};

const DAY_MS: i64 = 86_400_000;

fn image(world: &World, reference: &str) -> ImageReference {
    world.request(reference, Scope::AllPeers).image
}

fn by(name: &str) -> Author {
    Author {
        by: name.to_owned(),
        token: Some(format!("token-of-{name}")),
        reason: Some("CVE-1".to_owned()),
    }
}

/// Places the image, and tells all of its digests.
async fn preheated(world: &World, seed: &Peer, tag: &str, layers: &[&str]) -> HashSet<String> {
    world.registry.image(Some(tag), layers);
    let id = world.submit(tag, Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    seed.verify_all(&lots).await;
    world.until_state(id, PreheatState::Succeeded).await;
    let placements = lots.into_iter().flat_map(|lot| lot.placements);
    placements.map(|order| order.digest).collect()
}

/// What a peer is told that knows this.
async fn told(world: &World, peer: &Peer, known: KnownImageRules) -> Option<ImageRules> {
    let request = TakeRequest {
        at_most: 0,
        wait_ms: 0,
        neighbourhood_version: peer.neighbourhood_version().await.unwrap(),
        working_on: Vec::new(),
        images: Some(known),
        removals: 0,
    };
    let answer = preheat::take(&world.preheater, peer.session(), request).await;
    answer.unwrap().images
}

async fn take_off(world: &World, tag: &str, block: bool) -> RemovedImage {
    let removed = remove(&world.preheater, &image(world, tag), block, by("ann")).await;
    removed.unwrap()
}

fn set(digests: &[String]) -> HashSet<String> {
    digests.iter().cloned().collect()
}

#[tokio::test]
async fn a_recall_leaves_what_another_image_needs_and_is_told_until_it_is_carried_out() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    assert_eq!(told(&world, &seed, KnownImageRules::default()).await, None);
    let bad = preheated(&world, &seed, "bad", &["base", "bad"]).await;
    let good = preheated(&world, &seed, "good", &["base", "good"]).await;

    let removed = take_off(&world, "bad", false).await;
    let shared = bad.intersection(&good).count() as u64;
    assert_eq!(
        (removed.objects, removed.shared),
        (bad.len() as u64 - shared, shared)
    );
    assert!(shared > 0 && !removed.blocked);

    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    let recall = &rules.recalls[0];
    assert_eq!(set(&recall.image.digests), &bad - &good);
    assert_eq!(recall.image.tag.as_deref(), Some("bad"));
    assert!(rules.blocks.is_empty());
    let known = KnownImageRules {
        version: rules.version,
        recalled: recall.number,
    };
    assert_eq!(told(&world, &seed, known.clone()).await, None);
    // A peer that was away when the second came is told of that one alone.
    take_off(&world, "good", false).await;
    let rules = told(&world, &seed, known).await.expect("news");
    assert_eq!(rules.recalls.len(), 1);
    // The first image is gone: what both needed nobody needs now.
    assert_eq!(set(&rules.recalls[0].image.digests), good);
}

#[tokio::test]
async fn a_blocked_image_is_not_preheated_by_name_or_digest_until_the_block_is_lifted() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let bad = preheated(&world, &seed, "bad", &["base", "bad"]).await;
    let good = preheated(&world, &seed, "good", &["base", "good"]).await;
    let removed = take_off(&world, "bad", true).await;
    let root = removed.digest.expect("it was preheated");
    let mut refusals = Vec::new();
    for reference in ["bad", &root] {
        let request = world.request(reference, Scope::AllPeers);
        let refused = preheat::submit(&world.preheater, None, request, None).await;
        let Err(SubmitError::Blocked(text)) = refused else {
            panic!("{reference} was taken: {refused:?}");
        };
        refusals.push(world.without_host(&text));
    }
    insta::assert_snapshot!(refusals.join("\n"), @r#"
REGISTRY/team/app:bad was blocked by ann at 2027-01-15T08:00:00Z: CVE-1
REGISTRY/team/app:bad was blocked by ann at 2027-01-15T08:00:00Z: CVE-1
"#);
    world.registry.image(Some("alias"), &["base", "bad"]);
    let alias = world.submit("alias", Scope::SingleSeedPeer).await;
    let view = world.until(alias, |view| view.state.has_ended()).await;
    assert_eq!(view.state, PreheatState::Failed);
    insta::assert_snapshot!(world.without_host(&view.reason.unwrap()), @"REGISTRY/team/app:bad was blocked by ann at 2027-01-15T08:00:00Z: CVE-1; `stoker image unblock` lifts that");

    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!(set(&rules.blocks[0].image.digests), &bad - &good);
    assert!(
        rules.blocks[0].text.contains("2027-01-15T08:00:00Z"),
        "{}",
        rules.blocks[0].text
    );

    let blocks = list(&world.preheater, RuleKind::Block).await.unwrap();
    assert!(
        lift(&world.preheater, RuleKind::Block, blocks[0].id)
            .await
            .unwrap()
    );
    assert!(
        !lift(&world.preheater, RuleKind::Block, blocks[0].id)
            .await
            .unwrap()
    );
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert!(rules.blocks.is_empty() && rules.recalls.len() == 1);
    world.submit("bad", Scope::SingleSeedPeer).await;
}

#[tokio::test]
async fn an_image_that_is_preheated_later_gets_the_layers_that_a_block_had_for_itself() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let bad = preheated(&world, &seed, "bad", &["base", "bad"]).await;
    take_off(&world, "bad", true).await;
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!(set(&rules.blocks[0].image.digests), bad);
    let fixed = preheated(&world, &seed, "fixed", &["base", "fixed"]).await;
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!(set(&rules.blocks[0].image.digests), &bad - &fixed);
}

#[tokio::test]
async fn an_image_that_nobody_knows_is_blocked_by_its_name_and_its_digest() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let unknown = remove(&world.preheater, &image(&world, "v1"), false, by("ann")).await;
    assert!(matches!(unknown, Err(RuleError::NotKnown { .. })), "{unknown:?}");
    take_off(&world, "v1", true).await;
    let digest = oci::Digest::of(b"somewhere").to_string();
    take_off(&world, &digest, true).await;
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!(rules.blocks[0].image.tag.as_deref(), Some("v1"));
    assert_eq!(rules.blocks[1].image.digests, [digest]);
}

#[tokio::test]
async fn a_pin_follows_its_tag_and_ends_when_it_was_to_end() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let first = preheated(&world, &seed, "v1", &["one"]).await;
    let until = Some(START_MS + DAY_MS);
    let pinned = pin(&world.preheater, &image(&world, "v1"), until, by("ann")).await;
    let pinned: ImageRule = pinned.unwrap();
    assert_eq!((pinned.objects, pinned.until_ms), (first.len() as u64, until));
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!(set(&rules.pins[0].image.digests), first);
    assert_eq!(rules.pins[0].until_unix_ms, until);

    let second = preheated(&world, &seed, "v1", &["two"]).await;
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!(set(&rules.pins[0].image.digests), second);

    world.clock.advance(2 * DAY_MS);
    let lists = list(&world.preheater, RuleKind::Pin).await.unwrap();
    assert!(lists.is_empty(), "{lists:?}");
}

#[tokio::test]
async fn rules_outlive_the_manager() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    preheated(&world, &seed, "v1", &["one"]).await;
    take_off(&world, "v1", true).await;
    world.restart(Duration::from_secs(1)).await;
    let seed = world.seed("seed-2").await;
    let rules = told(&world, &seed, KnownImageRules::default())
        .await
        .expect("news");
    assert_eq!((rules.blocks.len(), rules.recalls.len()), (1, 1));
    let request = world.request("v1", Scope::AllPeers);
    let refused = preheat::submit(&world.preheater, None, request, None).await;
    assert!(matches!(refused, Err(SubmitError::Blocked(_))), "{refused:?}");
}
