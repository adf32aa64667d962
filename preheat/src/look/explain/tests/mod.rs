//! Verdicts from facts that a test invents. This file has the facts.

mod pulls;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use wire::{
    ObjectKind, ObjectStatus, Pull, PullResult, PullSource, Reply, Role, Side, StandingState, TagRecord,
};

use super::conclude::conclude;
use super::facts::{ExplainedFacts, Failure, Meaning, NodeFacts, Placed, Preheated};
use super::views::{Explanation, FindingKind, ObjectStanding, RegistryStanding};
use crate::image::contents::ImageObject;
use crate::model::scope::Scope;
use crate::model::state::PreheatState;
use crate::model::trace_pages::TracePages;

const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const ROOT: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
const LAYER: &str = "sha256:3333333333333333333333333333333333333333333333333333333333333333";
const OTHER_LAYER: &str = "sha256:4444444444444444444444444444444444444444444444444444444444444444";

fn object(digest: &str, kind: ObjectKind, size: u64, platform: Option<&str>) -> ImageObject {
    ImageObject {
        digest: digest.to_owned(),
        kind,
        media_type: String::new(),
        size,
        platform: platform.map(str::to_owned),
    }
}

fn manifest_and_layer() -> Vec<ImageObject> {
    vec![
        object(ROOT, ObjectKind::Manifest, 500, None),
        object(LAYER, ObjectKind::Blob, 2_000_000, None),
    ]
}

fn sealed(digest: &str) -> ObjectStatus {
    standing(digest, StandingState::Sealed { size: 1 })
}

fn standing(digest: &str, state: StandingState) -> ObjectStatus {
    ObjectStatus {
        digest: digest.to_owned(),
        state,
    }
}

/// An image of two objects, preheated everywhere five minutes ago, whole on the node; nobody has pulled it.
fn facts() -> ExplainedFacts {
    ExplainedFacts {
        now_ms: NOW,
        image: "h.lan/team/app:v1".to_owned(),
        registry: "h.lan".to_owned(),
        reference: "v1".to_owned(),
        tag: Some("v1".to_owned()),
        node: NodeFacts {
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

fn with_reply(objects: Vec<ObjectStatus>, pulls: Vec<Pull>) -> ExplainedFacts {
    ExplainedFacts {
        reply: Ok(Reply {
            objects,
            pulls,
            tag: None,
            compared: None,
        }),
        ..facts()
    }
}

fn with_preheat(change: impl FnOnce(&mut Preheated), objects: Vec<ObjectStatus>) -> ExplainedFacts {
    let mut facts = with_reply(objects, Vec::new());
    change(facts.preheat.as_mut().expect("a preheat"));
    facts
}

fn pull(reference: &str, result: PullResult, sources: Vec<PullSource>) -> Pull {
    Pull {
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

fn from(source: &str, is_registry: bool) -> PullSource {
    PullSource {
        source: source.to_owned(),
        peer: (!is_registry).then(|| source.to_owned()),
        is_registry,
        bytes: 2_000_000,
    }
}

fn verdicts(explained: &Explanation) -> Vec<FindingKind> {
    explained.findings.iter().map(|finding| finding.verdict).collect()
}

/// Returns the verdicts, and the sentence of the first one.
fn verdicts_and_text(facts: &ExplainedFacts) -> (Vec<FindingKind>, String) {
    let explained = conclude(facts);
    let first = explained.findings.first().expect("there is always a finding");
    assert!(!first.to_do.is_empty());
    (verdicts(&explained), first.says.clone())
}

fn standings(facts: &ExplainedFacts) -> Vec<ObjectStanding> {
    conclude(facts)
        .objects
        .iter()
        .map(|object| object.standing)
        .collect()
}
