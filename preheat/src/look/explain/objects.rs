//! The state of each object on the node, and the share of the image that the node holds.

use std::collections::{BTreeMap, HashMap};

use wire::{Reply, StandingState};

use super::facts::{ExplainedFacts, Failure, Placed, Preheated};
use super::views::{ExplainedObject, ObjectStanding, Share};
use super::words;
use crate::image::contents::ImageObject;
use crate::model::scope::Scope;

/// A peer reports changed holdings within this time, and retries once.
const HOLDINGS_DELAY_MS: i64 = 10_000;

/// The state of an object on the node.
struct SeenObject {
    is_there: bool,
    bytes: u64,
    removed: Option<(i64, String)>,
}

/// Why an object is not there.
struct Absence {
    standing: ObjectStanding,
    reason: Option<String>,
    side: Option<wire::Side>,
    at_ms: Option<i64>,
}

pub(super) fn explained(facts: &ExplainedFacts) -> Vec<ExplainedObject> {
    let states = facts.reply.as_ref().ok().map(by_digest);
    let one = |object| one(facts, states.as_ref(), object);
    facts.needed.iter().map(one).collect()
}

/// The node's reply for each object.
type StatesByDigest<'a> = HashMap<&'a str, &'a StandingState>;

fn by_digest(reply: &Reply) -> StatesByDigest<'_> {
    let standings = reply.objects.iter();
    standings
        .map(|standing| (standing.digest.as_str(), &standing.state))
        .collect()
}

fn one(facts: &ExplainedFacts, states: Option<&StatesByDigest>, object: &ImageObject) -> ExplainedObject {
    let seen = seen(facts, states, &object.digest);
    let why = if seen.is_there {
        Absence::only(ObjectStanding::There)
    } else {
        why(facts, object, seen.removed)
    };
    ExplainedObject {
        digest: object.digest.clone(),
        kind: object.kind,
        media_type: object.media_type.clone(),
        size: object.size,
        platform: object.platform.clone(),
        standing: why.standing,
        reason: why.reason,
        side: why.side,
        at_ms: why.at_ms,
        bytes_there: if seen.is_there { object.size } else { seen.bytes },
    }
}

fn seen(facts: &ExplainedFacts, states: Option<&StatesByDigest>, digest: &str) -> SeenObject {
    let nothing = |is_there: bool| SeenObject {
        is_there,
        bytes: 0,
        removed: None,
    };
    let Some(states) = states else {
        return nothing(facts.held.contains(digest) || had_no_time_to_report(facts, digest));
    };
    match states.get(digest) {
        Some(StandingState::Sealed { .. }) => nothing(true),
        Some(StandingState::Partial { bytes }) => SeenObject {
            bytes: *bytes,
            ..nothing(false)
        },
        Some(StandingState::Removed { at_unix_ms, why }) => SeenObject {
            removed: Some((*at_unix_ms, why.clone())),
            ..nothing(false)
        },
        Some(StandingState::Absent) | None => nothing(false),
    }
}

/// Returns whether the peer verified the object and disconnected before it reported the holding.
fn had_no_time_to_report(facts: &ExplainedFacts, digest: &str) -> bool {
    let Some(preheat) = &facts.preheat else {
        return false;
    };
    let was_proven = preheat.placed.get(digest) == Some(&Placed::Verified);
    let spoke_after = |ended| facts.node.last_seen_ms.saturating_sub(ended) > HOLDINGS_DELAY_MS;
    was_proven && !preheat.finished_ms.is_some_and(spoke_after)
}

impl Absence {
    fn only(standing: ObjectStanding) -> Self {
        Self {
            standing,
            reason: None,
            side: None,
            at_ms: None,
        }
    }

    fn failed(failure: &Failure) -> Self {
        Self {
            reason: Some(failure.reason.clone()),
            side: failure.side,
            ..Self::only(ObjectStanding::Failed)
        }
    }

    fn removed(removal: Option<(i64, String)>) -> Self {
        let (at_ms, why) = removal.unzip();
        Self {
            reason: Some(words::removal(why.as_deref())),
            at_ms,
            ..Self::only(ObjectStanding::Removed)
        }
    }
}

fn why(facts: &ExplainedFacts, object: &ImageObject, removal: Option<(i64, String)>) -> Absence {
    let Some(preheat) = &facts.preheat else {
        return removal.map_or(Absence::only(ObjectStanding::NeverAsked), |removal| {
            Absence::removed(Some(removal))
        });
    };
    let placed = placed_in(preheat, &object.digest);
    // A preheat that began after the removal has the newer result.
    let is_newer = |(at_ms, _): &(i64, String)| *at_ms >= preheat.created_ms || placed.is_none();
    match (removal.filter(is_newer), placed) {
        (Some(removal), _) => Absence::removed(Some(removal)),
        (None, Some(Placed::Verified)) => Absence::removed(None),
        (None, Some(Placed::Open)) => Absence::only(ObjectStanding::Waiting),
        (None, Some(Placed::Failed(failure))) => Absence::failed(&failure),
        (None, None) => not_placed(facts, preheat, object),
    }
}

/// Returns the result of the preheat for this object on this node.
fn placed_in(preheat: &Preheated, digest: &str) -> Option<Placed> {
    if !preheat.objects.contains(digest) {
        return None;
    }
    if let Some(placed) = preheat.placed.get(digest) {
        return Some(placed.clone());
    }
    if preheat.lot_waits {
        return Some(Placed::Open);
    }
    // A peer that left before it began has one row, which stands for all its placements.
    let failed = preheat
        .placed
        .values()
        .find(|placed| matches!(placed, Placed::Failed(_)));
    let whole_lot = preheat.scope == Scope::AllPeers && preheat.placed.len() == 1;
    failed.filter(|_| whole_lot).cloned()
}

fn not_placed(facts: &ExplainedFacts, preheat: &Preheated, object: &ImageObject) -> Absence {
    if let Some(failure) = preheat.failed_elsewhere.get(&object.digest) {
        return Absence::failed(failure);
    }
    let Some(preheated) = preheat.digest.as_deref() else {
        let has_ended = preheat.state.has_ended();
        return Absence::only(if has_ended {
            ObjectStanding::NeverAsked
        } else {
            ObjectStanding::Waiting
        });
    };
    let has_moved = facts.meaning.digest().is_some_and(|now| now != preheated);
    if has_moved && !preheat.objects.contains(&object.digest) {
        return Absence::only(ObjectStanding::TagMoved);
    }
    Absence::only(ObjectStanding::NotPlacedHere)
}

pub(super) fn share(objects: &[ExplainedObject]) -> Share {
    let there = || objects.iter().filter(|object| is_there(object));
    let whole = !objects.is_empty() && objects.iter().all(is_there);
    Share {
        objects: objects.len() as u64,
        objects_there: there().count() as u64,
        bytes: objects.iter().map(|object| object.size).sum(),
        bytes_there: objects.iter().map(|object| object.bytes_there).sum(),
        whole,
        whole_for: if whole { Vec::new() } else { whole_for(objects) },
    }
}

fn is_there(object: &ExplainedObject) -> bool {
    object.standing == ObjectStanding::There
}

/// Platforms of which no object is missing. An object without a platform (the index) belongs to all of them.
fn whole_for(objects: &[ExplainedObject]) -> Vec<String> {
    if objects
        .iter()
        .any(|object| object.platform.is_none() && !is_there(object))
    {
        return Vec::new();
    }
    let mut platforms: BTreeMap<&str, bool> = BTreeMap::new();
    for object in objects {
        if let Some(platform) = object
            .platform
            .as_deref()
            .filter(|platform| *platform != "unknown/unknown")
        {
            *platforms.entry(platform).or_insert(true) &= is_there(object);
        }
    }
    let whole = platforms.into_iter().filter(|(_, whole)| *whole);
    whole.map(|(platform, _)| platform.to_owned()).collect()
}
