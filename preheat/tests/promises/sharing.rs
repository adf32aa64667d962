//! Equal requests share their work, and what is known of an image is not asked for again.

use std::time::Duration;

use oci::Credential;
use preheat::{PreheatRequest, PreheatState, PreheatView, Scope};

use crate::rows::execute;
use crate::support::{Peer, World};

const PLANTED: &str = "Bearer planted-s3cret-value";

async fn resolved(world: &World, request: PreheatRequest) -> PreheatView {
    let id = world.submit_request(request).await;
    let is_resolved = |view: &PreheatView| view.state == PreheatState::Placing || view.state.has_ended();
    world.until(id, is_resolved).await
}

async fn succeeded(world: &World, seed: &Peer, request: PreheatRequest) -> PreheatView {
    let view = resolved(world, request).await;
    seed.verify_all(&seed.take().await).await;
    world.until_state(view.id, PreheatState::Succeeded).await
}

fn with_credential(world: &World, authorization: &str) -> PreheatRequest {
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.credential = Some(Credential::from_authorization(authorization));
    request
}

#[tokio::test]
async fn what_is_known_costs_the_registry_one_head() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    let first = succeeded(&world, &seed, request()).await;
    world.registry.requests();
    let second = succeeded(&world, &seed, request()).await;
    assert_eq!(world.registry.requests(), ["HEAD /v2/team/app/manifests/v1"]);
    assert_eq!(
        second.follows, None,
        "the first one has ended: there is nothing to follow"
    );
    assert_eq!(
        (
            second.objects_total,
            second.image_bytes,
            &second.digest,
            second.public
        ),
        (
            first.objects_total,
            first.image_bytes,
            &first.digest,
            first.public
        )
    );
    let digests =
        |objects: Vec<preheat::ObjectView>| objects.into_iter().map(|one| one.digest).collect::<Vec<_>>();
    assert_eq!(
        digests(preheat::objects(&world.preheater, second.id).await.unwrap()),
        digests(preheat::objects(&world.preheater, first.id).await.unwrap())
    );
}

#[tokio::test]
async fn a_tag_that_has_moved_is_asked_for_anew() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    succeeded(&world, &seed, request()).await;
    let (moved, _) = world.registry.image(Some("v1"), &["b", "c"]);
    let view = succeeded(&world, &seed, request()).await;
    assert_eq!((view.digest, view.objects_total), (Some(moved.to_string()), 4));
}

#[tokio::test]
async fn equal_open_requests_share_the_work_and_each_keeps_its_id() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    let first = resolved(&world, request()).await;
    let lots = seed.take().await;
    world.registry.requests();
    for _ in 0..5 {
        let view = resolved(&world, request()).await;
        assert_eq!((view.follows, view.objects_total), (Some(first.id), 4));
    }
    assert_eq!(
        world.registry.requests(),
        ["HEAD /v2/team/app/manifests/v1"; 5],
        "each asks for itself"
    );
    assert!(seed.take_now().await.is_empty(), "no second work item");
    seed.verify_all(&lots).await;
    for id in first.id..=first.id + 5 {
        world.until_state(id, PreheatState::Succeeded).await;
    }
}

#[tokio::test]
async fn requests_that_differ_do_not_follow_each_other() {
    let world = World::start().await;
    world.seed("seed-1").await;
    let image = world.registry.image(Some("v1"), &["a"]);
    world.registry.image(Some("v2"), &["a"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    assert_eq!(resolved(&world, request()).await.follows, None);
    let mut others = vec![
        world.request("v2", Scope::SingleSeedPeer),
        world.request(image.0.as_str(), Scope::SingleSeedPeer),
        world.request("v1", Scope::AllSeedPeers),
    ];
    others.push(PreheatRequest {
        referrers: Some(true),
        ..request()
    });
    others.push(PreheatRequest {
        clusters: preheat::ClusterChoice::Names(vec!["default".to_owned()]),
        ..request()
    });
    for other in others {
        let what = format!("{other:?}");
        assert_eq!(resolved(&world, other).await.follows, None, "{what}");
    }
    assert!(resolved(&world, request()).await.follows.is_some());
}

#[tokio::test]
async fn who_may_not_read_the_image_does_not_share_it() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.open_only_to(PLANTED);
    world.registry.image(Some("v1"), &["a"]);
    let first = resolved(&world, with_credential(&world, PLANTED)).await;
    let lots = seed.take().await;
    let stranger = resolved(&world, with_credential(&world, "Bearer anothers")).await;
    assert_eq!(stranger.state, PreheatState::Failed);
    let own = resolved(&world, with_credential(&world, PLANTED)).await;
    assert_eq!(own.follows, Some(first.id));
    seed.verify_all(&lots).await;
    world.until_state(own.id, PreheatState::Succeeded).await;
    let later = resolved(&world, with_credential(&world, "Bearer anothers")).await;
    assert_eq!(later.state, PreheatState::Failed, "nor does he get what is known");
    let nobody = resolved(&world, world.request("v1", Scope::SingleSeedPeer)).await;
    assert_eq!(nobody.state, PreheatState::Failed);
}

#[tokio::test]
async fn a_public_image_is_asked_about_without_the_callers_credential() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let first = succeeded(&world, &seed, world.request("v1", Scope::SingleSeedPeer)).await;
    assert!(first.public);
    world.registry.requests();
    let second = succeeded(&world, &seed, with_credential(&world, PLANTED)).await;
    assert!(second.public);
    assert_eq!(world.registry.requests(), ["HEAD /v2/team/app/manifests/v1"]);
    assert_eq!(world.registry.authorizations(), Vec::<String>::new());
    // No longer public: the caller's own credential has to do.
    world.registry.open_only_to(PLANTED);
    let third = succeeded(&world, &seed, with_credential(&world, PLANTED)).await;
    assert!(!third.public);
}

#[tokio::test]
async fn a_peer_that_came_since_is_not_left_out() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let request = || world.request("v1", Scope::AllPeers);
    let first = resolved(&world, request()).await;
    assert_eq!(first.placements_total, 3);
    world.node("node-1").await;
    let second = resolved(&world, request()).await;
    assert_eq!((second.follows, second.placements_total), (None, 6));
    drop(seed);
}

#[tokio::test]
async fn what_was_forgotten_meanwhile_is_asked_for_anew() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    let first = succeeded(&world, &seed, request()).await;
    let digest = oci::Digest::of(b"a");
    execute(
        &world,
        &format!(
            "DELETE FROM objects WHERE preheat_id = {} AND digest = '{digest}'",
            first.id
        ),
    )
    .await;
    let second = succeeded(&world, &seed, request()).await;
    assert_eq!(second.objects_total, 3);
}

#[tokio::test]
async fn of_two_that_wait_for_a_seed_one_does_the_work() {
    let world = World::start().await;
    world.registry.image(Some("v1"), &["a"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    let one = world.submit_request(request()).await;
    let other = world.submit_request(request()).await;
    for id in [one, other] {
        world
            .until(id, |view| {
                view.state == PreheatState::Resolving && view.reason.is_some()
            })
            .await;
    }
    let seed = world.seed("seed-1").await;
    world.advance(Duration::from_secs(3)).await;
    for id in [one, other] {
        world.until_state(id, PreheatState::Placing).await;
    }
    let follows = [world.view(one).await.follows, world.view(other).await.follows];
    assert!(
        follows == [None, Some(one)] || follows == [Some(other), None],
        "{follows:?}"
    );
    let lots = seed.take().await;
    assert_eq!(lots.len(), 1);
    seed.verify_all(&lots).await;
    for id in [one, other] {
        world.until_state(id, PreheatState::Succeeded).await;
    }
}

#[tokio::test]
async fn a_follower_of_one_that_the_caller_spoilt_goes_on_by_itself() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let request = || world.request("v1", Scope::SingleSeedPeer);
    let leader = resolved(&world, request()).await;
    seed.take().await;
    let follower = resolved(&world, request()).await;
    assert_eq!(follower.follows, Some(leader.id));
    preheat::cancel(&world.preheater, leader.id, "a test")
        .await
        .unwrap();
    let lots = seed.take().await;
    seed.verify_all(&lots).await;
    let view = world.until_state(follower.id, PreheatState::Succeeded).await;
    assert_eq!((view.follows, view.placements_verified), (None, 3));
    let objects = preheat::objects(&world.preheater, follower.id).await.unwrap();
    assert_eq!(objects.len(), 3);
}
