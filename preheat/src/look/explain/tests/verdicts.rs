//! Verdicts from the facts of preheat, registry and node.

use super::*;
use crate::look::explain::words::advice;

#[test]
fn never_preheated() {
    let facts = ExplainedFacts {
        preheat: None,
        ..with_reply(vec![standing(LAYER, StandingState::Absent)], Vec::new())
    };
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::NeverPreheated]);
    insta::assert_snapshot!(says, @"h.lan/team/app:v1 was never preheated. node-1 holds no object of the image.");
    assert_eq!(
        standings(&facts),
        [ObjectStanding::NeverAsked, ObjectStanding::NeverAsked]
    );
}

#[test]
fn never_preheated_and_cached_by_a_pull_all_the_same() {
    let pulls = vec![pull(LAYER, PullResult::Miss, vec![from("h.lan", true)])];
    let facts = ExplainedFacts {
        preheat: None,
        ..with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls)
    };
    let explained = conclude(&facts);
    assert_eq!(
        verdicts(&explained),
        [FindingKind::NeverPreheated, FindingKind::WholePulledFromRegistry]
    );
    assert!(explained.share.whole);
}

#[test]
fn never_preheated_and_of_unknown_objects() {
    let facts = ExplainedFacts {
        preheat: None,
        needed: Vec::new(),
        meaning: Meaning::Silent("connection refused".to_owned()),
        ..with_reply(Vec::new(), Vec::new())
    };
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::NeverPreheated]);
    insta::assert_snapshot!(says, @"h.lan/team/app:v1 was never preheated. The objects of the image are unknown.");
}

#[test]
fn removed_since_says_when_and_why() {
    let gone = StandingState::Removed {
        at_unix_ms: NOW - 2 * MINUTE,
        why: "asked".to_owned(),
    };
    let facts = with_reply(vec![sealed(ROOT), standing(LAYER, gone)], Vec::new());
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::RemovedSince]);
    insta::assert_snapshot!(says, @"1 of 2 objects was removed from node-1, 2027-01-15 07:58:00 UTC (2 min ago): somebody removed it from the store.");
    assert_eq!(
        standings(&facts),
        [ObjectStanding::There, ObjectStanding::Removed]
    );
}

#[test]
fn a_missing_object_that_was_proven_was_removed_even_without_a_record_of_it() {
    let facts = with_reply(
        vec![sealed(ROOT), standing(LAYER, StandingState::Absent)],
        Vec::new(),
    );
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::RemovedSince]);
    insta::assert_snapshot!(says, @"1 of 2 objects was removed from node-1: the peer has no record of it; its data folder may have been emptied.");
}

#[test]
fn a_removal_before_the_preheat_does_not_hide_that_the_preheat_failed() {
    let gone = StandingState::Removed {
        at_unix_ms: NOW - 10 * MINUTE,
        why: "evicted".to_owned(),
    };
    let fail = |preheat: &mut Preheated| {
        let failure = Failure {
            reason: "disk full".to_owned(),
            side: Some(Side::Peer),
        };
        preheat.state = PreheatState::Failed;
        preheat.placed.insert(LAYER.to_owned(), Placed::Failed(failure));
    };
    let (verdicts, _) = verdicts_and_text(&with_preheat(fail, vec![sealed(ROOT), standing(LAYER, gone)]));
    assert_eq!(verdicts, [FindingKind::ObjectFailed]);
}

#[test]
fn tag_moved_says_how_much_differs() {
    let facts = ExplainedFacts {
        meaning: Meaning::Digest(OTHER.to_owned()),
        needed: vec![
            object(OTHER, ObjectKind::Manifest, 500, None),
            object(LAYER, ObjectKind::Blob, 2_000_000, None),
            object(OTHER_LAYER, ObjectKind::Blob, 1_048_576, None),
        ],
        ..facts()
    };
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::TagMoved]);
    let says = &explained.findings[0].says;
    insta::assert_snapshot!(says, @"Tag v1 has moved. It meant sha256:111111111111 when preheat 3 was requested, 2027-01-15 07:55:00 UTC (5 min ago). It means sha256:222222222222 now. 2 of 3 objects of the new image were not preheated (1.00 MiB). node-1 holds 1 of 3 objects (1.91 MiB of 2.91 MiB).");
    assert_eq!(explained.reference.others, Some((2, 1_049_076)));
    assert_eq!(
        standings(&facts),
        [
            ObjectStanding::TagMoved,
            ObjectStanding::There,
            ObjectStanding::TagMoved
        ]
    );
}

#[test]
fn tag_moved_where_the_new_image_cannot_be_read() {
    let facts = ExplainedFacts {
        meaning: Meaning::Digest(OTHER.to_owned()),
        ..facts()
    };
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained)[0], FindingKind::TagMoved);
    assert_eq!(explained.reference.others, None);
}

#[test]
fn a_tag_that_is_gone() {
    let facts = ExplainedFacts {
        meaning: Meaning::Gone("404".to_owned()),
        ..facts()
    };
    let (verdicts, _) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::TagGone, FindingKind::WholeNotPulledYet]);
    assert_eq!(conclude(&facts).registry, RegistryStanding::Answers);
}

#[test]
fn a_failed_object_comes_with_its_reason_and_side() {
    let fail = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Failed;
        let failure = Failure {
            reason: "blob not found".to_owned(),
            side: Some(Side::Registry),
        };
        preheat.placed.insert(LAYER.to_owned(), Placed::Failed(failure));
    };
    let facts = with_preheat(
        fail,
        vec![sealed(ROOT), standing(LAYER, StandingState::Partial { bytes: 9 })],
    );
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::ObjectFailed]);
    insta::assert_snapshot!(says, @"1 of 2 objects is missing on node-1, because preheat 3 could not fetch it: sha256:333333333333: blob not found [side: registry].");
    assert_eq!(conclude(&facts).objects[1].bytes_there, 9);
}

#[test]
fn a_failure_of_a_seed_is_a_failure_of_its_nodes_too() {
    let fail = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Failed;
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
        let failure = Failure {
            reason: "on seed-1: blob not found".to_owned(),
            side: Some(Side::Registry),
        };
        preheat.failed_elsewhere.insert(LAYER.to_owned(), failure);
    };
    let explained = conclude(&with_preheat(fail, vec![]));
    assert_eq!(
        verdicts(&explained),
        [FindingKind::ObjectFailed, FindingKind::NotInScope]
    );
    let reason = explained.objects[1].reason.as_deref();
    assert_eq!(reason, Some("on seed-1: blob not found"));
}

#[test]
fn a_node_that_left_before_it_began_has_one_reason_for_all() {
    let leave = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Failed;
        let failure = Failure {
            reason: "peer left".to_owned(),
            side: Some(Side::Peer),
        };
        preheat.placed = BTreeMap::from([(ROOT.to_owned(), Placed::Failed(failure))]);
    };
    let facts = with_preheat(leave, vec![]);
    assert_eq!(
        standings(&facts),
        [ObjectStanding::Failed, ObjectStanding::Failed]
    );
    assert_eq!(verdicts_and_text(&facts).0, [FindingKind::ObjectFailed]);
}

#[test]
fn a_preheat_that_never_found_the_image() {
    let fail = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Failed;
        (preheat.digest, preheat.objects, preheat.placed) = (None, BTreeSet::new(), BTreeMap::new());
        preheat.reason = Some("the registry said 401".to_owned());
        preheat.side = Some(Side::Caller);
    };
    let mut facts = with_preheat(fail, vec![]);
    facts.needed = Vec::new();
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::PreheatFailed]);
    let finding = &explained.findings[0];
    insta::assert_snapshot!(finding.says, @"Preheat 3 failed 2027-01-15 07:56:00 UTC (4 min ago): the registry said 401 [side: caller]. The objects of the image are unknown.");
    assert_eq!(finding.to_do, advice(Some(Side::Caller)));
}

#[test]
fn a_cancelled_preheat() {
    let cancel = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Cancelled;
        (preheat.digest, preheat.objects, preheat.placed) = (None, BTreeSet::new(), BTreeMap::new());
        preheat.reason = Some("cancelled by token 01k9".to_owned());
    };
    let mut facts = with_preheat(cancel, vec![]);
    facts.needed = Vec::new();
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::PreheatFailed]);
    let finding = &explained.findings[0];
    insta::assert_snapshot!(finding.says, @"Preheat 3 was cancelled 2027-01-15 07:56:00 UTC (4 min ago): cancelled by token 01k9. The objects of the image are unknown.");
    assert!(finding.to_do.ends_with("stoker retry 3"), "{}", finding.to_do);
}

#[test]
fn a_failed_preheat_comes_last_if_the_node_holds_the_whole_image() {
    let fail = |preheat: &mut Preheated| preheat.state = PreheatState::Failed;
    let (verdicts, _) = verdicts_and_text(&with_preheat(fail, vec![sealed(ROOT), sealed(LAYER)]));
    assert_eq!(
        verdicts,
        [FindingKind::WholeNotPulledYet, FindingKind::PreheatFailed]
    );
}

#[test]
fn still_running_counts_the_objects_that_have_arrived() {
    let run = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Placing;
        preheat.finished_ms = None;
        preheat.placed.insert(LAYER.to_owned(), Placed::Open);
    };
    let facts = with_preheat(run, vec![sealed(ROOT)]);
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::StillRunning]);
    assert_eq!((explained.share.objects_there, explained.share.objects), (1, 2));
    assert_eq!(
        standings(&facts),
        [ObjectStanding::There, ObjectStanding::Waiting]
    );
}

#[test]
fn a_lot_that_the_node_has_not_begun_waits_as_a_whole() {
    let run = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Placing;
        preheat.placed.clear();
        preheat.lot_waits = true;
    };
    assert_eq!(
        standings(&with_preheat(run, vec![])),
        [ObjectStanding::Waiting, ObjectStanding::Waiting]
    );
}

#[test]
fn a_preheat_that_waits_for_a_seed_says_so() {
    let wait = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Resolving;
        (preheat.digest, preheat.objects, preheat.placed) = (None, BTreeSet::new(), BTreeMap::new());
        preheat.reason = Some("waits for a live seed peer in any cluster".to_owned());
    };
    let facts = with_preheat(wait, vec![]);
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::StillRunning]);
    insta::assert_snapshot!(says, @"Preheat 3 is still resolving: waits for a live seed peer in any cluster. node-1 holds no object of the image.");
    assert_eq!(
        standings(&facts),
        [ObjectStanding::Waiting, ObjectStanding::Waiting]
    );
}

#[test]
fn not_in_scope_says_which_peers_the_preheat_was_for() {
    let narrow = |preheat: &mut Preheated| {
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
    };
    let (verdicts, says) = verdicts_and_text(&with_preheat(narrow, vec![]));
    assert_eq!(verdicts, [FindingKind::NotInScope]);
    insta::assert_snapshot!(says, @"Preheat 3 placed the image on the seeds of cluster default, not on node-1 (scope single_seed_peer). 2 of 2 objects are missing on node-1; a pull reads them from the seeds of its cluster.");
    let elsewhere = |preheat: &mut Preheated| {
        preheat.placed.clear();
        preheat.in_cluster = false;
    };
    let (_, says) = verdicts_and_text(&with_preheat(elsewhere, vec![]));
    insta::assert_snapshot!(says, @"Preheat 3 was not for cluster default, the cluster of node-1. 2 of 2 objects are missing on node-1; a pull reads them from the registry.");
    let late = |preheat: &mut Preheated| preheat.placed.clear();
    let (_, says) = verdicts_and_text(&with_preheat(late, vec![]));
    insta::assert_snapshot!(says, @"node-1 was not connected when preheat 3 was planned. 2 of 2 objects are missing on node-1; a pull reads them from the seeds of its cluster.");
}

#[test]
fn a_node_that_is_down_is_judged_by_its_last_report() {
    let facts = ExplainedFacts {
        reply: Err("the peer has no session".to_owned()),
        held: BTreeSet::from([ROOT.to_owned()]),
        ..facts()
    };
    let (verdicts, says) = verdicts_and_text(&facts);
    assert_eq!(verdicts, [FindingKind::NodeDown, FindingKind::RemovedSince]);
    insta::assert_snapshot!(says, @"node-1 does not answer: the peer has no session. It was last seen 2027-01-15 07:59:00 UTC (60 s ago). Last report: node-1 holds 1 of 2 objects (500 B of 1.91 MiB).");
    assert_eq!(
        conclude(&facts).node.silence.as_deref(),
        Some("the peer has no session")
    );
}

#[test]
fn a_node_that_went_down_right_after_its_preheat_has_what_it_proved() {
    let mut facts = ExplainedFacts {
        reply: Err("late".to_owned()),
        ..facts()
    };
    facts.preheat.as_mut().expect("a preheat").finished_ms = Some(facts.node.last_seen_ms - 2_000);
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::NodeDown]);
    assert!(explained.share.whole);
}

#[test]
fn a_registry_that_is_silent_is_a_fact_of_its_own() {
    let facts = ExplainedFacts {
        meaning: Meaning::Silent("connection refused".to_owned()),
        ..facts()
    };
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [FindingKind::WholeNotPulledYet]);
    assert_eq!(
        explained.registry,
        RegistryStanding::Silent {
            text: "connection refused".to_owned()
        }
    );
    assert_eq!(
        (explained.reference.now, explained.reference.preheated.as_deref()),
        (None, Some(ROOT))
    );
}

#[test]
fn the_digest_that_the_node_knows_for_the_tag_is_shown() {
    let mut facts = facts();
    facts.reply.as_mut().expect("a reply").tag = Some(TagRecord {
        location: "https://h.lan/v2/team/app".to_owned(),
        tag: "v1".to_owned(),
        digest: OTHER.to_owned(),
        media_type: String::new(),
        seen_unix_ms: NOW,
    });
    assert_eq!(conclude(&facts).reference.on_node.as_deref(), Some(OTHER));
}

#[test]
fn every_combination_of_facts_has_a_finding() {
    let states = [
        PreheatState::Waiting,
        PreheatState::Resolving,
        PreheatState::Placing,
        PreheatState::Succeeded,
        PreheatState::Failed,
    ];
    let meanings = [
        Meaning::Digest(ROOT.to_owned()),
        Meaning::Digest(OTHER.to_owned()),
        Meaning::Gone(String::new()),
        Meaning::Refused(String::new()),
        Meaning::Silent(String::new()),
        Meaning::NotAsked(String::new()),
    ];
    let replies = [Err(String::new()), Ok(Reply::default())];
    for state in states {
        for (meaning, reply) in meanings
            .iter()
            .flat_map(|meaning| replies.iter().map(move |reply| (meaning, reply)))
        {
            for scope in [Scope::SingleSeedPeer, Scope::AllSeedPeers, Scope::AllPeers] {
                for (is_resolved, is_placed) in [(true, true), (true, false), (false, false)] {
                    let change = |preheat: &mut Preheated| {
                        (preheat.state, preheat.scope) = (state, scope);
                        if !is_placed {
                            preheat.placed.clear();
                        }
                        if !is_resolved {
                            preheat.digest = None;
                            preheat.objects.clear();
                        }
                    };
                    let mut facts = with_preheat(change, vec![]);
                    (facts.meaning, facts.reply) = (meaning.clone(), reply.clone());
                    assert!(!conclude(&facts).findings.is_empty(), "{facts:?}");
                    facts.needed.clear();
                    assert!(!conclude(&facts).findings.is_empty(), "{facts:?}");
                }
            }
        }
    }
}
