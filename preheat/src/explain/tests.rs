//! Each verdict from facts that a test makes up.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use wire::{
    ObjectKind, PullResult, Pulled, PulledFrom, Reply, Role, Side, Standing, StandingState, TagRecord,
};

use super::conclude::conclude;
use super::facts::{Facts, Failure, Meaning, Node, Object, Placed, Preheated};
use super::views::{Explanation, ObjectStanding, RegistryStanding, Verdict};
use crate::rows::preheats;
use crate::scope::Scope;
use crate::trace_pages::TracePages;
use crate::views::PreheatState;

const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const ROOT: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
const LAYER: &str = "sha256:3333333333333333333333333333333333333333333333333333333333333333";
const OTHER_LAYER: &str = "sha256:4444444444444444444444444444444444444444444444444444444444444444";

/// A preheat's row, for tests that need one.
pub(super) fn row() -> preheats::Model {
    preheats::Model {
        id: 1,
        image: "h.lan/team/app:v1".to_owned(),
        registry: "h.lan".to_owned(),
        base_path: String::new(),
        plain_http: false,
        repository: "team/app".to_owned(),
        reference: "v1".to_owned(),
        tag: Some("v1".to_owned()),
        scope: "all_peers".to_owned(),
        clusters: String::new(),
        platforms: String::new(),
        asked_by: "api".to_owned(),
        created_by: None,
        trace: None,
        state: "succeeded".to_owned(),
        reason: None,
        side: None,
        digest: None,
        media_type: None,
        public: false,
        credential: None,
        resolved_ms: None,
        objects_total: 0,
        image_bytes: 0,
        bytes_total: 0,
        bytes_done: 0,
        placements_total: 0,
        placements_open: 0,
        placements_verified: 0,
        placements_failed: 0,
        placements_left: 0,
        tolerated_absent: None,
        created_ms: 0,
        updated_ms: 0,
        finished_ms: None,
        deadline_ms: None,
        no_seed_deadline_ms: None,
        seed_check_ms: None,
    }
}

fn object(digest: &str, kind: ObjectKind, size: u64, platform: Option<&str>) -> Object {
    Object {
        digest: digest.to_owned(),
        kind,
        media_type: String::new(),
        size,
        platform: platform.map(str::to_owned),
    }
}

fn manifest_and_layer() -> Vec<Object> {
    vec![
        object(ROOT, ObjectKind::Manifest, 500, None),
        object(LAYER, ObjectKind::Blob, 2_000_000, None),
    ]
}

fn sealed(digest: &str) -> Standing {
    standing(digest, StandingState::Sealed { size: 1 })
}

fn standing(digest: &str, state: StandingState) -> Standing {
    Standing {
        digest: digest.to_owned(),
        state,
    }
}

/// An image of two objects, preheated everywhere five minutes ago, whole on the node; nobody has pulled it.
fn facts() -> Facts {
    Facts {
        now_ms: NOW,
        image: "h.lan/team/app:v1".to_owned(),
        registry: "h.lan".to_owned(),
        reference: "v1".to_owned(),
        tag: Some("v1".to_owned()),
        node: Node {
            id: Uuid::from_u128(7),
            name: "node-1".to_owned(),
            cluster: "default".to_owned(),
            cluster_id: 1,
            role: Role::Node,
            alive: true,
            last_seen_ms: NOW - MINUTE,
        },
        meaning: Meaning::Digest(ROOT.to_owned()),
        preheat: Some(preheated()),
        needed: manifest_and_layer(),
        reply: Ok(Reply {
            objects: vec![sealed(ROOT), sealed(LAYER)],
            ..Reply::default()
        }),
        held: BTreeSet::new(),
        trace_pages: TracePages::at("http://jaeger:16686"),
    }
}

fn preheated() -> Preheated {
    Preheated {
        id: 3,
        state: PreheatState::Succeeded,
        scope: Scope::AllPeers,
        digest: Some(ROOT.to_owned()),
        reason: None,
        side: None,
        created_ms: NOW - 5 * MINUTE,
        finished_ms: Some(NOW - 4 * MINUTE),
        asked_by: "harbor".to_owned(),
        token: Some("harbor".to_owned()),
        trace_id: Some("0af7".to_owned()),
        trace_url: None,
        newest: None,
        objects: BTreeSet::from([ROOT.to_owned(), LAYER.to_owned()]),
        placed: BTreeMap::from([
            (ROOT.to_owned(), Placed::Verified),
            (LAYER.to_owned(), Placed::Verified),
        ]),
        lot_waits: false,
        in_cluster: true,
        failed_elsewhere: BTreeMap::new(),
    }
}

fn with_reply(objects: Vec<Standing>, pulls: Vec<Pulled>) -> Facts {
    Facts {
        reply: Ok(Reply {
            objects,
            pulls,
            tag: None,
        }),
        ..facts()
    }
}

fn with_preheat(change: impl FnOnce(&mut Preheated), objects: Vec<Standing>) -> Facts {
    let mut facts = with_reply(objects, Vec::new());
    change(facts.preheat.as_mut().expect("a preheat"));
    facts
}

fn pull(reference: &str, result: PullResult, sources: Vec<PulledFrom>) -> Pulled {
    Pulled {
        at_unix_ms: NOW - MINUTE,
        registry: "h.lan".to_owned(),
        repository: "team/app".to_owned(),
        reference: reference.to_owned(),
        digest: reference.contains(':').then(|| reference.to_owned()),
        kind: ObjectKind::Blob,
        result,
        sources,
        bytes: 2_000_000,
        took_ms: 100,
        status: 200,
        trouble: None,
        trace_id: Some("beef".to_owned()),
    }
}

fn from(source: &str, is_registry: bool) -> PulledFrom {
    PulledFrom {
        source: source.to_owned(),
        peer: (!is_registry).then(|| source.to_owned()),
        is_registry,
        bytes: 2_000_000,
    }
}

fn verdicts(explained: &Explanation) -> Vec<Verdict> {
    explained.findings.iter().map(|finding| finding.verdict).collect()
}

/// The verdicts, and the first one's sentences.
fn told(facts: &Facts) -> (Vec<Verdict>, String) {
    let explained = conclude(facts);
    let first = explained.findings.first().expect("there is always a finding");
    assert!(!first.to_do.is_empty());
    (verdicts(&explained), first.says.clone())
}

fn standings(facts: &Facts) -> Vec<ObjectStanding> {
    conclude(facts)
        .objects
        .iter()
        .map(|object| object.standing)
        .collect()
}

#[test]
fn whole_and_never_asked_for_says_where_to_look() {
    let explained = conclude(&facts());
    assert_eq!(verdicts(&explained), [Verdict::WholeNotPulledYet]);
    assert!(explained.share.whole);
    assert!(
        explained.findings[0].to_do.contains("hosts.toml"),
        "{:?}",
        explained.findings
    );
    assert_eq!(explained.registry, RegistryStanding::Answers);
}

#[test]
fn pulled_from_the_store() {
    let hits = vec![
        pull(ROOT, PullResult::Hit, vec![]),
        pull(LAYER, PullResult::Hit, vec![]),
    ];
    let facts = with_reply(vec![sealed(ROOT), sealed(LAYER)], hits);
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [Verdict::WholePulledFromStore]);
    let says = &explained.findings[0].says;
    assert!(
        says.contains("own store: 2 objects, 3.81 MiB at 40.0 MB/s, 2027-01-15"),
        "{says}"
    );
    assert_eq!(explained.pulls[0].megabytes_per_second, Some(20.0));
    assert_eq!(
        explained.pulls[0].trace_url.as_deref(),
        Some("http://jaeger:16686/trace/beef")
    );
}

#[test]
fn pulled_from_peers_names_them() {
    let pulls = vec![
        pull(ROOT, PullResult::Hit, vec![]),
        pull(LAYER, PullResult::Miss, vec![from("seed-1", false)]),
    ];
    let (verdicts, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls));
    assert_eq!(verdicts, [Verdict::WholePulledFromPeers]);
    assert!(says.contains("from seed-1: 1 object"), "{says}");
}

#[test]
fn pulled_from_the_registry_says_what_came_first() {
    let mut early = pull(LAYER, PullResult::Miss, vec![from("h.lan", true)]);
    early.at_unix_ms = NOW - 6 * MINUTE;
    let (verdicts, says) = told(&with_reply(
        vec![sealed(ROOT), sealed(LAYER)],
        vec![early.clone()],
    ));
    assert_eq!(verdicts, [Verdict::WholePulledFromRegistry]);
    assert!(says.contains("before the preheat was done"), "{says}");
    early.at_unix_ms = NOW - MINUTE;
    let (_, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![early]));
    assert!(says.contains("neither the store nor a peer had it"), "{says}");
}

#[test]
fn only_the_last_pull_of_an_object_counts() {
    let mut old = pull(LAYER, PullResult::Refused, vec![]);
    old.at_unix_ms = NOW - 2 * MINUTE;
    let head = pull("v1", PullResult::Head, vec![]);
    let pulls = vec![old, pull(LAYER, PullResult::Hit, vec![]), head];
    let explained = conclude(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls));
    assert_eq!(verdicts(&explained), [Verdict::WholePulledFromStore]);
    let shown: Vec<_> = explained.pulls.iter().map(|pull| pull.result).collect();
    assert_eq!(shown, [PullResult::Hit, PullResult::Head]);
}

#[test]
fn pulls_of_other_images_of_the_repository_are_left_out() {
    let other = pull(OTHER_LAYER, PullResult::Miss, vec![from("h.lan", true)]);
    let explained = conclude(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![other]));
    assert_eq!(verdicts(&explained), [Verdict::WholeNotPulledYet]);
    assert!(explained.pulls.is_empty());
}

#[test]
fn a_runtime_that_only_asked_for_headers_has_the_image() {
    let head = pull("v1", PullResult::Head, vec![]);
    let (verdicts, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![head]));
    assert_eq!(verdicts, [Verdict::WholeNotPulledYet]);
    assert!(says.contains("ask for its headers"), "{says}");
}

#[test]
fn a_pull_that_failed_or_was_refused_comes_before_all_is_well() {
    for (result, verdict) in [
        (PullResult::Failed, Verdict::PullFailed),
        (PullResult::Refused, Verdict::PullRefused),
    ] {
        let mut bad = pull(LAYER, result, vec![]);
        bad.trouble = Some("no space left on device".to_owned());
        let (verdicts, says) = told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], vec![bad]));
        assert_eq!(verdicts, [verdict]);
        assert!(says.contains("no space left"), "{says}");
    }
}

#[test]
fn never_preheated() {
    let facts = Facts {
        preheat: None,
        ..with_reply(vec![standing(LAYER, StandingState::Absent)], Vec::new())
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [Verdict::NeverPreheated]);
    assert!(says.contains("nothing of the image is there"), "{says}");
    assert_eq!(
        standings(&facts),
        [ObjectStanding::NeverAsked, ObjectStanding::NeverAsked]
    );
}

#[test]
fn never_preheated_and_cached_by_a_pull_all_the_same() {
    let pulls = vec![pull(LAYER, PullResult::Miss, vec![from("h.lan", true)])];
    let facts = Facts {
        preheat: None,
        ..with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls)
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(
        verdicts,
        [Verdict::NeverPreheated, Verdict::WholePulledFromRegistry]
    );
    assert!(says.contains("all 2 objects are there"), "{says}");
}

#[test]
fn never_preheated_and_nobody_knows_what_it_is_made_of() {
    let facts = Facts {
        preheat: None,
        needed: Vec::new(),
        meaning: Meaning::Silent("connection refused".to_owned()),
        ..with_reply(Vec::new(), Vec::new())
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [Verdict::NeverPreheated]);
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
    assert_eq!(verdicts, [Verdict::RemovedSince]);
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
    assert_eq!(verdicts, [Verdict::RemovedSince]);
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
    assert_eq!(verdicts, [Verdict::ObjectFailed]);
}

#[test]
fn tag_moved_says_how_much_is_other() {
    let facts = Facts {
        meaning: Meaning::Digest(OTHER.to_owned()),
        needed: vec![
            object(OTHER, ObjectKind::Manifest, 500, None),
            object(LAYER, ObjectKind::Blob, 2_000_000, None),
            object(OTHER_LAYER, ObjectKind::Blob, 1_048_576, None),
        ],
        ..facts()
    };
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [Verdict::TagMoved]);
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
    let facts = Facts {
        meaning: Meaning::Digest(OTHER.to_owned()),
        ..facts()
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts[0], Verdict::TagMoved);
    assert!(says.contains("how much of it differs is not known"), "{says}");
}

#[test]
fn a_tag_that_is_gone() {
    let facts = Facts {
        meaning: Meaning::Gone("404".to_owned()),
        ..facts()
    };
    let (verdicts, _) = told(&facts);
    assert_eq!(verdicts, [Verdict::TagGone, Verdict::WholeNotPulledYet]);
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
    assert_eq!(verdicts, [Verdict::ObjectFailed]);
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
    assert_eq!(verdicts, [Verdict::ObjectFailed, Verdict::NotInScope]);
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
    assert_eq!(told(&facts).0, [Verdict::ObjectFailed]);
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
    assert_eq!(verdicts(&explained), [Verdict::PreheatFailed]);
    assert!(
        explained.findings[0]
            .says
            .contains("the registry said 401 [side: caller]")
    );
    assert!(explained.findings[0].to_do.contains("credential"));
}

#[test]
fn a_preheat_that_failed_elsewhere_is_told_last_where_all_is_there() {
    let fail = |preheat: &mut Preheated| preheat.state = PreheatState::Failed;
    let (verdicts, _) = told(&with_preheat(fail, vec![sealed(ROOT), sealed(LAYER)]));
    assert_eq!(verdicts, [Verdict::WholeNotPulledYet, Verdict::PreheatFailed]);
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
    assert_eq!(verdicts, [Verdict::StillRunning]);
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
    assert_eq!(verdicts, [Verdict::StillRunning]);
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
    assert_eq!(verdicts, [Verdict::NotInScope]);
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
fn all_that_one_platform_needs_is_enough() {
    let narrow = |preheat: &mut Preheated| {
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
    };
    let mut facts = with_preheat(narrow, vec![sealed(ROOT), sealed(LAYER)]);
    facts.needed = vec![
        object(ROOT, ObjectKind::Manifest, 500, None),
        object(LAYER, ObjectKind::Blob, 2_000_000, Some("linux/amd64")),
        object(OTHER_LAYER, ObjectKind::Blob, 2_000_000, Some("linux/arm64")),
        object(OTHER, ObjectKind::Blob, 100, Some("unknown/unknown")),
    ];
    let preheat = facts.preheat.as_mut().expect("a preheat");
    preheat.objects.extend([OTHER_LAYER.to_owned(), OTHER.to_owned()]);
    let reply = facts.reply.as_mut().expect("a reply");
    reply.pulls = vec![pull(LAYER, PullResult::Miss, vec![from("seed-1", false)])];
    let explained = conclude(&facts);
    assert_eq!(
        verdicts(&explained),
        [Verdict::WholePulledFromPeers, Verdict::NotInScope]
    );
    assert_eq!(explained.share.whole_for, ["linux/amd64"]);
    assert!(
        explained.findings[0]
            .says
            .starts_with("What linux/amd64 needs of the image is on node-1 whole")
    );
}

#[test]
fn what_another_platform_needs_is_no_comfort() {
    let narrow = |preheat: &mut Preheated| {
        preheat.scope = Scope::SingleSeedPeer;
        preheat.placed.clear();
    };
    let mut facts = with_preheat(narrow, vec![sealed(ROOT), sealed(LAYER)]);
    facts.needed = vec![
        object(ROOT, ObjectKind::Manifest, 500, None),
        object(LAYER, ObjectKind::Blob, 2_000_000, Some("linux/amd64")),
        object(OTHER_LAYER, ObjectKind::Blob, 2_000_000, Some("linux/arm64")),
    ];
    let preheat = facts.preheat.as_mut().expect("a preheat");
    preheat.objects.insert(OTHER_LAYER.to_owned());
    assert_eq!(told(&facts).0, [Verdict::NotInScope], "nobody has pulled it here");
    let reply = facts.reply.as_mut().expect("a reply");
    reply.pulls = vec![pull(OTHER_LAYER, PullResult::Hit, vec![])];
    assert_eq!(
        told(&facts).0,
        [Verdict::NotInScope],
        "another platform was pulled"
    );
}

#[test]
fn pulls_side_by_side_are_as_fast_as_they_are_together() {
    let side_by_side = |gap: i64| {
        let mut second = pull(LAYER, PullResult::Hit, vec![]);
        second.at_unix_ms += gap;
        let pulls = vec![pull(ROOT, PullResult::Hit, vec![]), second];
        told(&with_reply(vec![sealed(ROOT), sealed(LAYER)], pulls)).1
    };
    assert!(side_by_side(0).contains("at 40.0 MB/s"), "{}", side_by_side(0));
    assert!(side_by_side(50).contains("at 26.7 MB/s"), "{}", side_by_side(50));
    assert!(
        side_by_side(30_000).contains("at 20.0 MB/s"),
        "{}",
        side_by_side(30_000)
    );
}

#[test]
fn a_node_that_is_down_is_judged_by_its_last_word() {
    let facts = Facts {
        reply: Err("the peer has no session".to_owned()),
        held: BTreeSet::from([ROOT.to_owned()]),
        ..facts()
    };
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [Verdict::NodeDown, Verdict::RemovedSince]);
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
    let mut facts = Facts {
        reply: Err("late".to_owned()),
        ..facts()
    };
    facts.preheat.as_mut().expect("a preheat").finished_ms = Some(facts.node.last_seen_ms - 2_000);
    let (verdicts, says) = told(&facts);
    assert_eq!(verdicts, [Verdict::NodeDown]);
    assert!(says.contains("all 2 objects are there"), "{says}");
}

#[test]
fn a_registry_that_is_silent_is_a_fact_of_its_own() {
    let facts = Facts {
        meaning: Meaning::Silent("connection refused".to_owned()),
        ..facts()
    };
    let explained = conclude(&facts);
    assert_eq!(verdicts(&explained), [Verdict::WholeNotPulledYet]);
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
        registry: "h.lan".to_owned(),
        repository: "team/app".to_owned(),
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
