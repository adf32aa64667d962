use std::time::Duration;

use oci::Credential;
use preheat::{PreheatRequest, PreheatState, PreheatView, RetryError, Scope};

use crate::rows::{count, number};
use crate::support::{Peer, World, failed};

async fn retry(world: &World, id: i64, credential: Option<&str>) -> Result<PreheatView, RetryError> {
    let credential = credential.map(Credential::from_authorization);
    preheat::retry(&world.preheater, id, credential, "ana").await
}

fn with_credential(world: &World) -> PreheatRequest {
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.credential = Some(Credential::from_authorization("Bearer first"));
    request
}

/// A preheat of one seed whose placements have all failed.
async fn failed_one(world: &World, seed: &Peer, request: PreheatRequest) -> i64 {
    let id = world.submit_request(request).await;
    for lot in seed.take().await {
        seed.settle(failed(&lot, "disk full")).await;
    }
    assert_eq!(world.view(id).await.state, PreheatState::Failed);
    id
}

#[tokio::test]
async fn a_failed_preheat_is_tried_again_under_its_id() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = failed_one(&world, &seed, world.request("v1", Scope::SingleSeedPeer)).await;
    world.clock.advance(60_000);
    let view = retry(&world, id, None).await.unwrap();
    assert_eq!((view.id, view.attempt), (id, 2));
    assert_eq!((view.reason, view.side, view.finished_ms), (None, None, None));
    let lots = seed.take().await;
    assert_eq!(
        lots[0].placements.len(),
        3,
        "all of it: the peer knows what it has"
    );
    seed.verify_all(&lots).await;
    let view = world.view(id).await;
    assert_eq!((view.state, view.placements_total), (PreheatState::Succeeded, 3));
    assert_eq!((view.bytes_done, view.placements_failed), (view.bytes_total, 0));
    assert_eq!(
        count(&world, "placements").await,
        3,
        "those of the attempt before are gone"
    );
}

#[tokio::test]
async fn a_retry_has_the_whole_time_limit_again() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.time_limit = Some(Duration::from_secs(10));
    let id = failed_one(&world, &seed, request).await;
    world.clock.advance(3_600_000);
    retry(&world, id, None).await.unwrap();
    let _taken = seed.take().await;
    world.advance(Duration::from_secs(9)).await;
    assert_eq!(world.view(id).await.state, PreheatState::Placing);
    world.advance(Duration::from_secs(2)).await;
    let view = world.view(id).await;
    assert_eq!(view.state, PreheatState::Failed);
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(reason, @"not done within 10 s: 3 of 3 placements are open: sha256:eee90f18866f on seed-1; sha256:092207527b7d on seed-1; sha256:ca978112ca1b on seed-1");
}

#[tokio::test]
async fn a_cancelled_preheat_can_be_tried_again_and_an_open_or_good_one_cannot() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let open = retry(&world, id, None).await.unwrap_err();
    assert!(matches!(open, RetryError::NotFailed { .. }), "{open}");
    preheat::cancel(&world.preheater, id, "ana").await.unwrap();
    retry(&world, id, None).await.unwrap();
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    let good = retry(&world, id, None).await.unwrap_err();
    assert!(
        matches!(
            good,
            RetryError::NotFailed {
                state: PreheatState::Succeeded,
                ..
            }
        ),
        "{good}"
    );
    assert!(matches!(
        retry(&world, 99, None).await,
        Err(RetryError::Unknown(99))
    ));
}

#[tokio::test]
async fn a_retry_without_any_credential_names_the_registry() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.open_only_to("Bearer first");
    world.registry.image(Some("v1"), &["a"]);
    let id = failed_one(&world, &seed, with_credential(&world)).await;
    let refused = retry(&world, id, None).await.unwrap_err();
    assert!(
        matches!(&refused, RetryError::NoCredential { registry, .. } if registry == &world.registry.host),
        "{refused}"
    );
    assert_eq!(
        world.view(id).await.state,
        PreheatState::Failed,
        "nothing was begun"
    );
    world.registry.open_only_to("Bearer second");
    let asked = world.registry.asked();
    retry(&world, id, Some("Bearer second")).await.unwrap();
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    assert!(world.registry.asked() > asked);
    let sent = world.registry.authorizations();
    assert_eq!(sent.last().map(String::as_str), Some("Bearer second"));
}

#[tokio::test]
async fn a_retry_uses_the_configured_credential_when_the_first_is_gone() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.open_only_to("Bearer first");
    world.registry.image(Some("v1"), &["a"]);
    let id = failed_one(&world, &seed, with_credential(&world)).await;
    world.registry.open_only_to("Bearer own");
    world.configure(Credential::from_authorization("Bearer own"));
    retry(&world, id, None).await.unwrap();
    seed.verify_all(&seed.take().await).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
}

#[tokio::test]
async fn two_retries_at_once_begin_one_attempt() {
    let mut world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = failed_one(&world, &seed, world.request("v1", Scope::SingleSeedPeer)).await;
    world.idle().await;
    let (one, other) = tokio::join!(retry(&world, id, None), retry(&world, id, None));
    assert!(one.is_ok() != other.is_ok(), "one of them begins it");
    assert_eq!(count(&world, "work").await, 1);
    assert_eq!(number(&world, "SELECT attempt AS n FROM preheats").await, 2);
}
