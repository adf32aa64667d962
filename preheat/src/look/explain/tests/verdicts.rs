//! What preheat, registry and node make of it.

use super::*;

#[test]
fn never_preheated() {
    let facts = ExplainedFacts {
        preheat: None,
        ..with_reply(vec![standing(LAYER, StandingState::Absent)], Vec::new())
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::NeverPreheated]);
    assert!(says.contains("nothing of the image is there"), "{says}");
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
    let (verdicts, says) = told(&facts);
    assert_eq!(
        verdicts,
        [FindingKind::NeverPreheated, FindingKind::WholePulledFromRegistry]
    );
    assert!(says.contains("all 2 objects are there"), "{says}");
}

#[test]
fn never_preheated_and_nobody_knows_what_it_is_made_of() {
    let facts = ExplainedFacts {
        preheat: None,
        needed: Vec::new(),
        meaning: Meaning::Silent("connection refused".to_owned()),
        ..with_reply(Vec::new(), Vec::new())
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::NeverPreheated]);
    assert!(says.contains("is not known"), "{says}");
}

#[test]
fn removed_since_says_when_and_why() {
    let gone = StandingState::Removed {
        at_unix_ms: NOW - 2 * MINUTE,
        why: "asked".to_owned(),
    };
    let facts = with_reply(vec![sealed(ROOT), standing(LAYER, gone)], Vec::new());
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::RemovedSince]);
    assert!(
        says.contains("1 of 2 objects was on node-1") && says.contains("(2 min ago): somebody removed it"),
        "{says}"
    );
    assert_eq!(
        standings(&facts),
        [ObjectStanding::There, ObjectStanding::Removed]
    );
}

#[test]
fn what_was_proven_and_is_not_there_was_removed_even_if_nobody_remembers() {
    let facts = with_reply(
        vec![sealed(ROOT), standing(LAYER, StandingState::Absent)],
        Vec::new(),
    );
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::RemovedSince]);
    assert!(says.contains("does not remember"), "{says}");
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
    let (verdicts, _) = told(&with_preheat(fail, vec![sealed(ROOT), standing(LAYER, gone)]));
    assert_eq!(verdicts, [FindingKind::ObjectFailed]);
}

#[test]
fn tag_moved_says_how_much_is_other() {
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
    assert!(
        says.contains("2 of 3 objects of what it means now are not what was preheated (1.00 MiB)"),
        "{says}"
    );
    assert!(
        says.contains("sha256:111111111111") && says.contains("sha256:222222222222"),
        "{says}"
    );
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
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts[0], FindingKind::TagMoved);
    assert!(says.contains("how much of it differs is not known"), "{says}");
}

#[test]
fn a_tag_that_is_gone() {
    let facts = ExplainedFacts {
        meaning: Meaning::Gone("404".to_owned()),
        ..facts()
    };
    let (verdicts, _) = told(&facts);
    assert_eq!(verdicts, [FindingKind::TagGone, FindingKind::WholeNotPulledYet]);
    assert_eq!(conclude(&facts).registry, RegistryStanding::Answers);
}

#[test]
fn one_object_failed_says_which_why_and_whose_side() {
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
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::ObjectFailed]);
    assert!(
        says.contains("sha256:333333333333: blob not found [side: registry]"),
        "{says}"
    );
    assert_eq!(conclude(&facts).objects[1].bytes_there, 9);
}

#[test]
fn what_a_seed_could_not_get_failed_for_its_nodes_too() {
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
    let (verdicts, says) = told(&with_preheat(fail, vec![]));
    assert_eq!(verdicts, [FindingKind::ObjectFailed, FindingKind::NotInScope]);
    assert!(says.contains("on seed-1"), "{says}");
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
    assert_eq!(told(&facts).0, [FindingKind::ObjectFailed]);
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
    assert!(
        explained.findings[0]
            .says
            .contains("the registry said 401 [side: caller]")
    );
    assert!(explained.findings[0].to_do.contains("credential"));
}

#[test]
fn a_preheat_that_somebody_cancelled() {
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
    assert!(
        finding.says.contains("cancelled by token 01k9"),
        "{}",
        finding.says
    );
    assert!(finding.to_do.contains("stoker retry"), "{}", finding.to_do);
}

#[test]
fn a_preheat_that_failed_elsewhere_is_told_last_where_all_is_there() {
    let fail = |preheat: &mut Preheated| preheat.state = PreheatState::Failed;
    let (verdicts, _) = told(&with_preheat(fail, vec![sealed(ROOT), sealed(LAYER)]));
    assert_eq!(
        verdicts,
        [FindingKind::WholeNotPulledYet, FindingKind::PreheatFailed]
    );
}

#[test]
fn still_running_counts_what_is_there() {
    let run = |preheat: &mut Preheated| {
        preheat.state = PreheatState::Placing;
        preheat.finished_ms = None;
        preheat.placed.insert(LAYER.to_owned(), Placed::Open);
    };
    let facts = with_preheat(run, vec![sealed(ROOT)]);
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::StillRunning]);
    assert!(says.contains("1 of 2 objects is there"), "{says}");
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
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::StillRunning]);
    assert!(says.contains("waits for a live seed"), "{says}");
    assert_eq!(
        standings(&facts),
        [ObjectStanding::Waiting, ObjectStanding::Waiting]
    );
}

#[test]
fn not_in_scope_is_what_the_scope_means() {
    let narrow = |preheat: &mut Preheated| {
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
    };
    let (verdicts, says) = told(&with_preheat(narrow, vec![]));
    assert_eq!(verdicts, [FindingKind::NotInScope]);
    assert!(
        says.contains("to the seeds of cluster default and not to node-1 (scope single_seed_peer)"),
        "{says}"
    );
    let elsewhere = |preheat: &mut Preheated| {
        preheat.placed.clear();
        preheat.in_cluster = false;
    };
    let (_, says) = told(&with_preheat(elsewhere, vec![]));
    assert!(says.contains("was not for cluster default"), "{says}");
    let late = |preheat: &mut Preheated| preheat.placed.clear();
    let (_, says) = told(&with_preheat(late, vec![]));
    assert!(says.contains("was not there yet"), "{says}");
}

#[test]
fn a_node_that_is_down_is_judged_by_its_last_word() {
    let facts = ExplainedFacts {
        reply: Err("the peer has no session".to_owned()),
        held: BTreeSet::from([ROOT.to_owned()]),
        ..facts()
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::NodeDown, FindingKind::RemovedSince]);
    assert!(
        says.contains("1 of 2 objects is there") && says.contains("(60 s ago)"),
        "{says}"
    );
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
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [FindingKind::NodeDown]);
    assert!(says.contains("all 2 objects are there"), "{says}");
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
fn what_the_node_takes_the_tag_for_is_told() {
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
fn no_facts_leave_a_person_without_an_answer() {
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
