use oci::Digest;
use store::{CHUNK, RemovalReason};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    ObjectKind, ObjectStatus, Pull, PullResult, Question, RegistryDescription, StandingState, TagRecord,
};

use super::support::{FakeManager, WorkingPeer};
use crate::fetch::tests::support::{Treat, bytes, eventually, seal};

fn question(digests: &[&Digest]) -> Question {
    Question {
        id: Uuid::new_v4(),
        location: "https://hub.lan/v2/library/nginx".to_owned(),
        tag: Some("1.27".to_owned()),
        digests: digests.iter().map(ToString::to_string).collect(),
        check: None,
    }
}

fn pulled(registry: &str, repository: &str, at_unix_ms: i64) -> Pull {
    Pull {
        at_unix_ms,
        registry: registry.to_owned(),
        repository: repository.to_owned(),
        reference: "1.27".to_owned(),
        digest: None,
        kind: ObjectKind::Manifest,
        result: PullResult::Hit,
        sources: Vec::new(),
        bytes: 1,
        took_ms: 1,
        status: 200,
        trouble: None,
        trace_id: None,
    }
}

pub(super) async fn reply_to(peer: &WorkingPeer, question: Question) -> wire::Reply {
    let id = question.id;
    peer.manager.asks(question);
    let answered = |(to, _): &(Uuid, wire::Reply)| *to == id;
    eventually("answered", || peer.manager.replies().iter().any(answered)).await;
    let replies = peer.manager.replies();
    replies.into_iter().find(answered).expect("answered").1
}

#[tokio::test]
async fn each_object_is_reported_with_its_state() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let store = &peer.world.store;
    let (whole, gone, begun) = (bytes(9), bytes(10), bytes(CHUNK));
    seal(store, &whole).await;
    seal(store, &gone).await;
    store
        .remove(&Digest::of(&gone), RemovalReason::Evicted)
        .await
        .expect("removed");
    let partial = store.partial(&Digest::of(&begun)).await.expect("a partial");
    partial.append(begun.slice(..7)).await.expect("landed");
    let never = Digest::of(b"never");
    let digests = [
        &Digest::of(&whole),
        &Digest::of(&gone),
        &Digest::of(&begun),
        &never,
    ];
    let mut asked = question(&digests);
    asked.digests.push("no digest".to_owned());
    let reply = reply_to(&peer, asked).await;
    let at_unix_ms = store.removal(digests[1]).expect("remembered").at_unix_ms;
    let states = [
        StandingState::Sealed { size: 9 },
        StandingState::Removed {
            at_unix_ms,
            why: "evicted".to_owned(),
        },
        StandingState::Partial { bytes: 7 },
        StandingState::Absent,
        StandingState::Absent,
    ];
    let told: Vec<StandingState> = reply
        .objects
        .iter()
        .map(|standing| standing.state.clone())
        .collect();
    assert_eq!(told, states);
    let ObjectStatus { digest, .. } = &reply.objects[0];
    assert_eq!(*digest, digests[0].to_string());
    assert_eq!((reply.tag, reply.pulls), (None, Vec::new()));
}

#[tokio::test]
async fn pulls_and_tags_are_found_under_every_name_of_the_registry() {
    let manager = FakeManager::default();
    manager.knows_registry(RegistryDescription {
        name: "registry.lan".to_owned(),
        aliases: vec!["hub.lan".to_owned()],
        ..RegistryDescription::default()
    });
    let peer = WorkingPeer::of(manager).await;
    eventually("the peer has registered", || peer.manager.sessions() == 1).await;
    for (registry, repository, at) in [
        ("registry.lan", "library/nginx", 1),
        ("hub.lan", "library/nginx", 2),
        ("registry.lan", "library/other", 3),
        ("elsewhere.lan", "library/nginx", 4),
    ] {
        peer.pulls.push(pulled(registry, repository, at));
    }
    let tag = TagRecord {
        location: "https://registry.lan/v2/library/nginx".to_owned(),
        tag: "1.27".to_owned(),
        digest: Digest::of(b"meant").to_string(),
        media_type: "application/x".to_owned(),
        seen_unix_ms: 5,
    };
    peer.world.store.record_tag(&tag);
    let reply = reply_to(&peer, question(&[])).await;
    let times: Vec<i64> = reply.pulls.iter().map(|pulled| pulled.at_unix_ms).collect();
    assert_eq!(times, [2, 1], "newest first, and no others");
    assert_eq!(reply.tag, Some(tag));
}

#[tokio::test]
async fn a_peer_without_room_still_replies() {
    let peer = WorkingPeer::of(FakeManager::default()).await;
    let (body, gate) = (bytes(2 * CHUNK), CancellationToken::new());
    let digest = Digest::of(&body);
    let treat = Treat {
        bytes: body.clone(),
        hold: Some((CHUNK, gate.clone())),
        ..Treat::default()
    };
    peer.world.registry.put(&digest, treat);
    for work in 0..20 {
        peer.manager.hands_out(peer.lot(work, &digest, 2 * CHUNK, None));
    }
    eventually("it has all that it takes", || {
        let text = crate::metrics::tests::scraped(&peer.metrics, &peer.world.store);
        let is_full = text.contains("stoker_lots_running 16\n");
        is_full && text.contains("stoker_store_partial_objects 1\n")
    })
    .await;
    let reply = reply_to(&peer, question(&[&digest])).await;
    assert!(
        matches!(reply.objects[0].state, StandingState::Partial { .. }),
        "{reply:?}"
    );
    gate.cancel();
    eventually("it goes on", || peer.manager.settled().len() == 20).await;
}
