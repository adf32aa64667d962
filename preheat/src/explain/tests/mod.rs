//! Each verdict from facts that a test makes up: here are the facts.

mod pulls;
mod verdicts;

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
        peer_choice: None,
        priority: 0,
        time_limit_ms: None,
        referrers: None,
        had_credential: false,
        delivery: None,
        fair_key: None,
        follows: None,
        share_key: None,
        attempt: 1,
        notes: None,
        retried_ms: None,
        tells: None,
        labels: None,
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
            compared: None,
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
