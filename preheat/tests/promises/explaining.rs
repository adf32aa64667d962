use std::time::Duration;

use oci::ImageReference;
use preheat::{
    ExplainError, Explanation, FindingKind, Limits, NoAnswer, ObjectStanding, PreheatState, RegistryStanding,
    Scope, WhereError,
};
use uuid::Uuid;
use wire::{Holding, HoldingsReport, ObjectStatus, Question, Reply, StandingState, TakeRequest};

use crate::support::{Peer, World};

const SOON: Duration = Duration::from_millis(300);

fn question() -> Question {
    Question {
        id: Uuid::new_v4(),
        location: "https://h.example/v2/team/app".to_owned(),
        tag: Some("v1".to_owned()),
        digests: Vec::new(),
        check: None,
    }
}

async fn impatient() -> World {
    let limits = Limits {
        answer_wait: SOON,
        ..Limits::default()
    };
    World::with_limits(limits).await
}

/// The next questions of this peer, which must come.
async fn questions(world: &World, peer: &Peer) -> Vec<Question> {
    let mut version = peer.welcome.neighbourhood.version.clone();
    for _ in 0..100 {
        let request = TakeRequest {
            at_most: 0,
            wait_ms: 200,
            neighbourhood_version: version.clone(),
            working_on: Vec::new(),
            images: None,
            removals: 0,
        };
        let answer = preheat::take(&world.preheater, peer.session(), request)
            .await
            .unwrap();
        if !answer.questions.is_empty() {
            return answer.questions;
        }
        version = answer.neighbourhood.map_or(version, |around| around.version);
    }
    panic!("no question came for {}", peer.name);
}

/// Answers the next question: what is in `held` is there, and nothing else.
async fn answer_with(world: &World, peer: &Peer, held: &[String]) {
    for question in questions(world, peer).await {
        let standing = |digest: &String| ObjectStatus {
            digest: digest.clone(),
            state: if held.contains(digest) {
                StandingState::Sealed { size: 1 }
            } else {
                StandingState::Absent
            },
        };
        let reply = Reply {
            objects: question.digests.iter().map(standing).collect(),
            ..Reply::default()
        };
        let taken = preheat::answer(&world.preheater, peer.session(), question.id, reply);
        assert!(taken.await.unwrap());
    }
}

fn image(world: &World, reference: &str) -> ImageReference {
    let url = format!("http://{}/v2/team/app/manifests/{reference}", world.registry.host);
    ImageReference::from_manifest_url(&url).unwrap()
}

async fn explained(world: &World, peer: &Peer, held: &[String]) -> Explanation {
    let image = image(world, "v1");
    let explained = Box::pin(preheat::explain(&world.preheater, &image, &peer.name));
    let (explained, ()) = tokio::join!(explained, answer_with(world, peer, held));
    explained.unwrap()
}

#[tokio::test]
async fn a_question_reaches_a_peer_that_waits_for_work_and_its_reply_whoever_asked() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let asked = preheat::ask(&world.preheater, seed.id, question());
    let (reply, ()) = tokio::join!(asked, answer_with(&world, &seed, &[]));
    assert_eq!(reply.unwrap(), Reply::default());
}

#[tokio::test]
async fn only_the_session_of_the_peer_that_was_asked_may_answer() {
    let world = World::start().await;
    let (seed, stranger) = (world.seed("seed-1").await, world.seed("seed-2").await);
    let asked = preheat::ask(&world.preheater, seed.id, question());
    let answers = async {
        let [question] = &questions(&world, &seed).await[..] else {
            panic!("one question");
        };
        let answer = |session| preheat::answer(&world.preheater, session, question.id, Reply::default());
        assert!(
            !answer(stranger.session()).await.unwrap(),
            "another peer's session"
        );
        assert!(answer(Uuid::new_v4()).await.is_err(), "no session at all");
        assert!(answer(seed.session()).await.unwrap());
        assert!(!answer(seed.session()).await.unwrap(), "a second time");
    };
    assert!(tokio::join!(asked, answers).0.is_ok());
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_late_and_one_without_a_session_is_away() {
    let world = impatient().await;
    let seed = world.seed("seed-1").await;
    let late = preheat::ask(&world.preheater, seed.id, question()).await;
    assert!(matches!(late, Err(NoAnswer::Late)), "{late:?}");
    // No question is kept after its caller left, and a late reply changes nothing.
    assert!(seed.try_take(0).await.unwrap().questions.is_empty());
    let answer = preheat::answer(&world.preheater, seed.session(), Uuid::new_v4(), Reply::default());
    assert!(!answer.await.unwrap());
    let away = preheat::ask(&world.preheater, Uuid::new_v4(), question()).await;
    assert!(matches!(away, Err(NoAnswer::Away)), "{away:?}");
}

#[tokio::test]
async fn a_new_session_of_the_same_peer_is_asked_again() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let asked = preheat::ask(&world.preheater, seed.id, question());
    let answers = async {
        questions(&world, &seed).await;
        let again = world.peer("seed-1", wire::Role::Seed, "default", seed.id).await;
        answer_with(&world, &again, &[]).await;
    };
    assert!(tokio::join!(asked, answers).0.is_ok());
}

#[tokio::test]
async fn an_explanation_combines_the_preheat_with_the_reply_of_the_node() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let node = world.node("node-1").await;
    let (root, _) = world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    seed.verify_all(&seed.take().await).await;
    let running = explained(&world, &node, &[]).await;
    assert_eq!(
        running.findings[0].verdict,
        FindingKind::StillRunning,
        "{running:?}"
    );
    node.verify_all(&node.take().await).await;
    world.until_state(id, PreheatState::Succeeded).await;

    let gone = explained(&world, &node, &[root.to_string()]).await;
    assert_eq!(gone.findings[0].verdict, FindingKind::RemovedSince);
    assert_eq!((gone.share.objects, gone.share.objects_there), (3, 1));
    assert_eq!(
        gone.objects[0].digest,
        root.as_str(),
        "what the tag names comes first"
    );
    assert_eq!(gone.objects[0].standing, ObjectStanding::There);
    let preheat = gone.preheat.unwrap();
    assert_eq!((preheat.id, preheat.asked_by.as_str()), (id, "api"));
    assert_eq!(gone.reference.now.as_deref(), Some(root.as_str()));

    let (moved, _) = world.registry.image(Some("v1"), &["a", "b"]);
    let moved_on = explained(&world, &node, &[root.to_string()]).await;
    assert_eq!(moved_on.findings[0].verdict, FindingKind::TagMoved);
    assert_eq!(moved_on.reference.now.as_deref(), Some(moved.as_str()));
    assert_eq!(moved_on.reference.others.map(|(objects, _)| objects), Some(3));

    world.registry.answers("v1", 503, "text/plain", b"");
    let silent = explained(&world, &node, &[root.to_string()]).await;
    assert!(
        matches!(silent.registry, RegistryStanding::Silent { .. }),
        "{silent:?}"
    );
    assert_eq!(silent.reference.now, None);
}

#[tokio::test]
async fn the_registry_is_asked_as_the_preheat_did_and_a_name_without_a_scheme_finds_it() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    world.submit("v1", Scope::SingleSeedPeer).await;
    seed.verify_all(&seed.take().await).await;
    let image: ImageReference = format!("{}/team/app:v1", world.registry.host).parse().unwrap();
    let explained = preheat::explain(&world.preheater, &image, "seed");
    let (explained, ()) = tokio::join!(explained, answer_with(&world, &seed, &[]));
    assert_eq!(explained.unwrap().registry, RegistryStanding::Answers);
}

#[tokio::test]
async fn a_caller_with_only_read_access_cannot_make_the_manager_dial_an_unknown_registry() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let explained = explained(&world, &seed, &[]).await;
    assert!(
        matches!(explained.registry, RegistryStanding::NotAsked { .. }),
        "{explained:?}"
    );
    assert_eq!(explained.findings[0].verdict, FindingKind::NeverPreheated);
    let nowhere = preheat::where_is(&world.preheater, &image(&world, "v1")).await;
    assert!(matches!(nowhere, Err(WhereError::NotKnown { .. })), "{nowhere:?}");
    assert_eq!(world.registry.asked(), 0);
}

#[tokio::test]
async fn a_registry_that_wants_another_credential_refuses_and_is_not_silent() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.configure(oci::Credential::Anonymous);
    world.registry.open_only_to("Basic somebody-else");
    let explained = explained(&world, &seed, &[]).await;
    assert!(
        matches!(explained.registry, RegistryStanding::Refuses { .. }),
        "{explained:?}"
    );
}

#[tokio::test]
async fn a_wrong_node_is_answered_with_similar_names() {
    let world = World::start().await;
    let image = image(&world, "v1");
    let none = preheat::explain(&world.preheater, &image, "node-1").await;
    assert!(matches!(none, Err(ExplainError::NoPeers)));
    world.node("node-1").await;
    let unknown = preheat::explain(&world.preheater, &image, "nod-2")
        .await
        .unwrap_err();
    assert!(
        matches!(&unknown, ExplainError::UnknownNode { near, .. } if near == &["node-1"]),
        "{unknown}"
    );
}

#[tokio::test]
async fn where_counts_what_peers_hold_of_the_newest_preheat() {
    let world = World::start().await;
    let (seed, node) = (world.seed("seed-1").await, world.node("node-1").await);
    world.registry.image(Some("v1"), &["a"]);
    world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    let held: Vec<Holding> = lots[0]
        .placements
        .iter()
        .map(|order| Holding {
            digest: order.digest.clone(),
            size: order.size,
        })
        .collect();
    seed.verify_all(&lots).await;
    hold(&world, &seed, held.clone()).await;
    hold(&world, &node, held[..1].to_vec()).await;

    let found = preheat::where_is(&world.preheater, &image(&world, "v1"))
        .await
        .unwrap();
    assert_eq!((found.preheat, found.objects, found.without), (Some(1), 3, 0));
    let shares: Vec<_> = found
        .peers
        .iter()
        .map(|share| (share.peer.name.as_str(), share.objects, share.whole))
        .collect();
    assert_eq!(shares, [("seed-1", 3, true), ("node-1", 1, false)]);
    assert_eq!(found.peers[0].bytes, found.bytes);
}

#[tokio::test]
async fn where_shows_partial_objects_of_live_peers_and_does_not_wait_for_silent_ones() {
    let limits = Limits {
        answer_wait: Duration::from_secs(3),
        ..Limits::default()
    };
    let world = World::with_limits(limits).await;
    world.configure(oci::Credential::Anonymous);
    let (seed, _silent) = (world.seed("seed-1").await, world.node("node-1").await);
    world.registry.image(Some("v1"), &["a"]);
    let begun = async {
        for question in questions(&world, &seed).await {
            let part = |(number, digest): (usize, &String)| ObjectStatus {
                digest: digest.clone(),
                state: if number == 0 {
                    StandingState::Partial { bytes: 40 }
                } else {
                    StandingState::Absent
                },
            };
            let reply = Reply {
                objects: question.digests.iter().enumerate().map(part).collect(),
                ..Reply::default()
            };
            let taken = preheat::answer(&world.preheater, seed.session(), question.id, reply);
            assert!(taken.await.unwrap());
        }
    };
    let image = image(&world, "v1");
    let (found, ()) = tokio::join!(preheat::where_is(&world.preheater, &image), begun);
    let found = found.unwrap();
    assert_eq!((found.peers.len(), found.without), (1, 1), "{found:?}");
    let share = &found.peers[0];
    assert_eq!(share.peer.name, "seed-1");
    assert_eq!((share.objects, share.begun, share.begun_bytes), (0, 1, 40));
}

#[tokio::test]
async fn where_asks_the_registry_about_an_image_that_was_never_preheated() {
    let world = World::start().await;
    world.configure(oci::Credential::Anonymous);
    let seed = world.seed("seed-1").await;
    let (root, size) = world.registry.image(Some("v1"), &["a"]);
    let held = Holding {
        digest: root.to_string(),
        size: size as u64,
    };
    hold(&world, &seed, vec![held]).await;
    let found = preheat::where_is(&world.preheater, &image(&world, "v1"))
        .await
        .unwrap();
    assert_eq!(
        (found.preheat, found.objects, found.digest.as_str()),
        (None, 3, root.as_str())
    );
    assert_eq!((found.peers.len(), found.peers[0].objects), (1, 1));
    let missing = preheat::where_is(&world.preheater, &image(&world, "v2"))
        .await
        .unwrap_err();
    assert!(matches!(missing, WhereError::NotKnown { .. }), "{missing}");
}

async fn hold(world: &World, peer: &Peer, gained: Vec<Holding>) {
    let report = HoldingsReport {
        gained,
        ..HoldingsReport::default()
    };
    preheat::holdings(&world.preheater, peer.session(), report)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_question_does_not_wait_behind_a_full_peer() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let full = TakeRequest {
        at_most: 0,
        wait_ms: 20_000,
        neighbourhood_version: seed.welcome.neighbourhood.version.clone(),
        working_on: Vec::new(),
        images: None,
        removals: 0,
    };
    let taking = preheat::take(&world.preheater, seed.session(), full);
    let asking = tokio::time::timeout(SOON * 3, preheat::ask(&world.preheater, seed.id, question()));
    let (taken, _) = tokio::join!(taking, asking);
    assert_eq!(taken.unwrap().questions.len(), 1);
}
