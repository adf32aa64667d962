//! From facts to findings. Reads nothing, writes nothing.
//!
//! **Invariant:** there is always a finding, and the first explains best how a pull through the node behaves.

use super::case::Case;
use super::facts::{ExplainedFacts, Meaning, Preheated};
use super::pulls::PullsByResult;
use super::views::{
    ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding, ObjectStanding,
    ReferenceMeaning, RegistryStanding, Share,
};
use super::{objects, pulled, pulls, sentences as say};
use crate::model::state::PreheatState;

pub(super) fn conclude(facts: &ExplainedFacts) -> Explanation {
    let objects = objects::explained(facts);
    let share = objects::share(&objects);
    let reference = reference(facts);
    let pulls = pulls::last(facts);
    let findings = findings(&Case {
        facts,
        objects: &objects,
        share: &share,
        reference: &reference,
        pulls: &pulls,
        sorted: PullsByResult::of(&pulls),
    });
    with(facts, findings, objects, (share, reference, pulls))
}

fn with(
    facts: &ExplainedFacts,
    findings: Vec<Finding>,
    objects: Vec<ExplainedObject>,
    (share, reference, pulls): (Share, ReferenceMeaning, Vec<ExplainedPull>),
) -> Explanation {
    Explanation {
        image: facts.image.clone(),
        node: node(facts),
        findings,
        registry: registry(facts),
        reference,
        preheat: facts.preheat.as_ref().map(preheat),
        share,
        objects,
        pulls,
    }
}

/// The most helpful finding comes first.
fn findings(case: &Case) -> Vec<Finding> {
    let all = [
        say::node_down(case),
        still_running(case),
        tag_gone(case),
        tag_moved(case),
        case.facts.preheat.is_none().then(|| say::never_preheated(case)),
        preheat_failed(case, false),
        object_failed(case),
        removed_since(case),
        pulled::pull_failed(case),
        pulled::pull_refused(case),
        pulled::whole(case),
        not_in_scope(case),
        preheat_failed(case, true),
    ];
    let found: Vec<Finding> = all.into_iter().flatten().collect();
    if found.is_empty() {
        vec![say::not_known(case)]
    } else {
        found
    }
}

fn still_running(case: &Case) -> Option<Finding> {
    let preheat = case.facts.preheat.as_ref()?;
    (!preheat.state.has_ended() && !case.share.whole).then(|| say::still_running(case, preheat))
}

fn tag_gone(case: &Case) -> Option<Finding> {
    match &case.facts.meaning {
        Meaning::Gone(text) => Some(say::tag_gone(case, text)),
        _ => None,
    }
}

fn tag_moved(case: &Case) -> Option<Finding> {
    let (now, before) = (
        case.reference.now.as_deref()?,
        case.reference.preheated.as_deref()?,
    );
    let preheat = case.facts.preheat.as_ref()?;
    (now != before).then(|| say::tag_moved(case, preheat, (before, now)))
}

/// The preheat failed, and no object of it did. If the node holds the whole image, this finding comes last.
fn preheat_failed(case: &Case, at_the_end: bool) -> Option<Finding> {
    let preheat = case.facts.preheat.as_ref()?;
    let has_failed = matches!(preheat.state, PreheatState::Failed | PreheatState::Cancelled);
    let is_it = has_failed && !case.has(ObjectStanding::Failed);
    (is_it && case.share.whole == at_the_end).then(|| say::preheat_failed(case, preheat))
}

fn object_failed(case: &Case) -> Option<Finding> {
    let preheat = case.facts.preheat.as_ref()?;
    case.has(ObjectStanding::Failed)
        .then(|| say::object_failed(case, preheat))
}

fn removed_since(case: &Case) -> Option<Finding> {
    case.has(ObjectStanding::Removed)
        .then(|| say::removed_since(case))
}

fn not_in_scope(case: &Case) -> Option<Finding> {
    let preheat = case.facts.preheat.as_ref()?;
    case.has(ObjectStanding::NotPlacedHere)
        .then(|| say::not_in_scope(case, preheat))
}

fn node(facts: &ExplainedFacts) -> ExplainedNode {
    let node = &facts.node;
    ExplainedNode {
        id: node.id,
        name: node.name.clone(),
        cluster: node.cluster.clone(),
        role: node.role,
        alive: node.alive,
        last_seen_ms: node.last_seen_ms,
        silence: facts.reply.as_ref().err().cloned(),
    }
}

fn registry(facts: &ExplainedFacts) -> RegistryStanding {
    match &facts.meaning {
        Meaning::Digest(_) | Meaning::Gone(_) => RegistryStanding::Answers,
        Meaning::Refused(text) => RegistryStanding::Refuses { text: text.clone() },
        Meaning::Silent(text) => RegistryStanding::Silent { text: text.clone() },
        Meaning::NotAsked(text) => RegistryStanding::NotAsked { text: text.clone() },
    }
}

fn reference(facts: &ExplainedFacts) -> ReferenceMeaning {
    let preheated = facts.preheat.as_ref().and_then(|preheat| preheat.digest.clone());
    let now = facts.meaning.digest().map(str::to_owned);
    let on_node = facts.reply.as_ref().ok().and_then(|reply| reply.tag.as_ref());
    let has_moved = now.is_some() && preheated.is_some() && now != preheated;
    ReferenceMeaning {
        tag: facts.tag.clone(),
        others: facts
            .preheat
            .as_ref()
            .filter(|_| has_moved)
            .and_then(|preheat| others(facts, preheat)),
        now,
        preheated,
        on_node: on_node.map(|record| record.digest.clone()),
    }
}

/// Objects that the preheat did not place, and their bytes; none if the objects of the current image are unknown.
fn others(facts: &ExplainedFacts, preheat: &Preheated) -> Option<(u64, u64)> {
    let others: Vec<u64> = facts
        .needed
        .iter()
        .filter(|object| !preheat.objects.contains(&object.digest))
        .map(|object| object.size)
        .collect();
    (!others.is_empty()).then(|| (others.len() as u64, others.iter().sum()))
}

fn preheat(preheat: &Preheated) -> ExplainedPreheat {
    ExplainedPreheat {
        id: preheat.id,
        state: preheat.state,
        scope: preheat.scope,
        reason: preheat.reason.clone(),
        side: preheat.side,
        created_ms: preheat.created_ms,
        finished_ms: preheat.finished_ms,
        asked_by: preheat.asked_by.clone(),
        token: preheat.token.clone(),
        trace_id: preheat.trace_id.clone(),
        trace_url: preheat.trace_url.clone(),
        newest: preheat.newest,
    }
}
