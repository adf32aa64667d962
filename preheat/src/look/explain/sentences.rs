//! The sentences of findings: first the state, then what to do.

use super::case::Case;
use super::facts::Preheated;
use super::views::{ExplainedObject, Finding, FindingKind, ObjectStanding};
use super::words;
use super::words::{advice, amount, are, counted, were, when};
use crate::model::scope::Scope;
use crate::model::state::PreheatState;
use crate::model::text::short;

/// The number of objects that a sentence names.
const NAMED: usize = 3;

pub(super) fn finding(verdict: FindingKind, says: String, to_do: impl Into<String>) -> Finding {
    Finding {
        verdict,
        says,
        to_do: to_do.into(),
    }
}

pub(super) fn node_down(case: &Case) -> Option<Finding> {
    let silence = case.facts.reply.as_ref().err()?;
    let node = &case.facts.node;
    let seen = when(node.last_seen_ms, case.facts.now_ms);
    let says = format!(
        "{} does not answer: {silence}. It was last seen {seen}. Last report: {}.",
        node.name,
        held(case)
    );
    let to_do = format!(
        "Check that stoker-peer runs on {} and reaches the manager. Until then, the container runtime uses the next mirror \
         or the registry.",
        node.name
    );
    Some(finding(FindingKind::NodeDown, says, to_do))
}

/// `node-1 holds 3 of 5 objects (3.00 MiB of 11.77 MiB)`
fn held(case: &Case) -> String {
    let (share, node) = (case.share, &case.facts.node.name);
    match (share.objects, share.objects_there) {
        (0, _) => "The objects of the image are unknown".to_owned(),
        (all, there) if all == there => {
            format!(
                "{node} holds all {} ({})",
                counted(all, "object"),
                amount(share.bytes)
            )
        }
        (_, 0) => format!("{node} holds no object of the image"),
        (all, there) => format!(
            "{node} holds {there} of {} ({} of {})",
            counted(all, "object"),
            amount(share.bytes_there),
            amount(share.bytes)
        ),
    }
}

pub(super) fn still_running(case: &Case, preheat: &Preheated) -> Finding {
    let reason = preheat.reason.as_ref().map(|reason| format!(": {reason}"));
    let says = format!(
        "Preheat {} is still {}{}. {}.",
        preheat.id,
        preheat.state.word(),
        reason.unwrap_or_default(),
        held(case)
    );
    let to_do = format!(
        "Wait for it to end. Watch it with: stoker preheats {}",
        preheat.id
    );
    finding(FindingKind::StillRunning, says, to_do)
}

pub(super) fn tag_gone(case: &Case, text: &str) -> Finding {
    let says = format!(
        "The registry does not know {} any more ({text}). {}.",
        case.facts.image,
        held(case)
    );
    let to_do = "Push the image again, or correct its name where it is used. Peers keep its objects until they need the room.";
    finding(FindingKind::TagGone, says, to_do)
}

pub(super) fn tag_moved(case: &Case, preheat: &Preheated, (before, now): (&str, &str)) -> Finding {
    let tag = case.facts.tag.as_deref().unwrap_or(&case.facts.reference);
    let others = match case.reference.others {
        Some((objects, bytes)) => format!(
            "{} of {} of the new image {} not preheated ({})",
            objects,
            counted(case.share.objects, "object"),
            were(objects),
            amount(bytes)
        ),
        None => "How many objects differ is unknown".to_owned(),
    };
    let says = format!(
        "Tag {tag} has moved. It meant {} when preheat {} was requested, {}. It means {} now. {others}. {}.",
        short(before),
        preheat.id,
        when(preheat.created_ms, case.facts.now_ms),
        short(now),
        held(case)
    );
    let to_do = format!(
        "To preheat after each push, use an event-based policy in Harbor or a step in your pipeline. Preheat this image \
         again: {}",
        again(case, preheat.scope)
    );
    finding(FindingKind::TagMoved, says, to_do)
}

/// Returns the command that preheats the image.
pub(super) fn again(case: &Case, scope: Scope) -> String {
    format!("stoker preheat --scope {scope} {}", case.facts.image)
}

pub(super) fn never_preheated(case: &Case) -> Finding {
    let says = format!(
        "{} was never preheated. {}{}.",
        case.facts.image,
        held(case),
        enough(case)
    );
    let to_do = format!("Preheat it: {}", again(case, Scope::AllPeers));
    finding(FindingKind::NeverPreheated, says, to_do)
}

/// The same, after the number of missing objects.
fn enough_of(case: &Case) -> String {
    match case.share.whole_for.as_slice() {
        [] => String::new(),
        platforms => format!(" (none that {} needs)", platforms.join(", ")),
    }
}

/// Names the platforms that need no missing object.
fn enough(case: &Case) -> String {
    match case.share.whole_for.as_slice() {
        [] => String::new(),
        platforms => format!(", which is all that {} needs", platforms.join(", ")),
    }
}

pub(super) fn preheat_failed(case: &Case, preheat: &Preheated) -> Finding {
    let reason = preheat.reason.as_deref().unwrap_or("no reason is recorded");
    let is_cancelled = preheat.state == PreheatState::Cancelled;
    let says = format!(
        "Preheat {} {} {}: {reason}{}. {}.",
        preheat.id,
        if is_cancelled { "was cancelled" } else { "failed" },
        when(
            preheat.finished_ms.unwrap_or(preheat.created_ms),
            case.facts.now_ms
        ),
        side(preheat.side),
        held(case)
    );
    let to_do = if is_cancelled {
        format!("If you still need it: stoker retry {}", preheat.id)
    } else {
        advice(preheat.side).into()
    };
    finding(FindingKind::PreheatFailed, says, to_do)
}

fn side(side: Option<wire::Side>) -> String {
    side.map(|side| format!(" [side: {}]", side.word()))
        .unwrap_or_default()
}

pub(super) fn object_failed(case: &Case, preheat: &Preheated) -> Finding {
    let failed = case.standing(ObjectStanding::Failed);
    let count = failed.len() as u64;
    let says = format!(
        "{} of {} {} missing on {}, because preheat {} could not fetch {}: {}.",
        count,
        counted(case.share.objects, "object"),
        are(count),
        case.facts.node.name,
        preheat.id,
        if count == 1 { "it" } else { "them" },
        named(&failed)
    );
    let side = failed.first().and_then(|object| object.side);
    finding(FindingKind::ObjectFailed, says, advice(side))
}

/// Names the first few objects, with their reasons.
fn named(objects: &[&ExplainedObject]) -> String {
    let first = objects.iter().take(NAMED);
    let texts: Vec<String> = first.map(|object| named_object(object)).collect();
    match objects.len().saturating_sub(NAMED) {
        0 => texts.join("; "),
        more => format!("{}; and {more} more", texts.join("; ")),
    }
}

fn named_object(object: &ExplainedObject) -> String {
    let reason = object.reason.as_deref().unwrap_or("no reason is recorded");
    let reason = reason.replace(&object.digest, short(&object.digest));
    format!("{}: {reason}{}", short(&object.digest), side(object.side))
}

pub(super) fn removed_since(case: &Case) -> Finding {
    let removed = case.standing(ObjectStanding::Removed);
    let count = removed.len() as u64;
    let last = removed.iter().max_by_key(|object| object.at_ms);
    let moment = last.and_then(|object| object.at_ms);
    let at = moment.map(|at_ms| format!(", {}", when(at_ms, case.facts.now_ms)));
    let why = last.and_then(|object| object.reason.clone()).unwrap_or_default();
    let says = format!(
        "{} of {} {} removed from {}{}: {why}.",
        count,
        counted(case.share.objects, "object"),
        were(count),
        case.facts.node.name,
        at.unwrap_or_default(),
    );
    let to_do = format!(
        "{}Preheat it again: {}",
        before_that(&why),
        again(case, scope_for(case))
    );
    finding(FindingKind::RemovedSince, says, to_do)
}

/// Returns the scope of a preheat that reaches this node.
fn scope_for(case: &Case) -> Scope {
    let preheat = case.facts.preheat.as_ref();
    let for_node = preheat.filter(|preheat| !preheat.placed.is_empty());
    for_node.map_or(Scope::AllPeers, |preheat| preheat.scope)
}

/// Returns what prevents the same removal.
fn before_that(why: &str) -> &'static str {
    if why == words::removal(Some("evicted")) {
        return "Give the store more room. ";
    }
    if why == words::removal(Some("damaged")) {
        return "Check the node's disk. ";
    }
    ""
}

pub(super) fn not_in_scope(case: &Case, preheat: &Preheated) -> Finding {
    let missing = case.standing(ObjectStanding::NotPlacedHere).len() as u64;
    let says = format!(
        "{} {} of {} {} missing on {}{}; a pull reads {} from {}.",
        scope_sentence(case, preheat),
        missing,
        counted(case.share.objects, "object"),
        are(missing),
        case.facts.node.name,
        enough_of(case),
        if missing == 1 { "it" } else { "them" },
        if preheat.in_cluster {
            "the seeds of its cluster"
        } else {
            "the registry"
        }
    );
    let to_do = if preheat.in_cluster {
        format!(
            "Nothing, unless the node needs the image before its first pull: then run {}",
            again(case, Scope::AllPeers)
        )
    } else {
        format!(
            "Preheat it for this cluster: stoker preheat --cluster {} {}",
            case.facts.node.cluster, case.facts.image
        )
    };
    finding(FindingKind::NotInScope, says, to_do)
}

pub(super) fn not_known(case: &Case) -> Finding {
    let says = format!("{}. The reason is not recorded.", held(case));
    let to_do = format!("Preheat it again: {}", again(case, Scope::AllPeers));
    finding(FindingKind::NotKnown, says, to_do)
}

/// Says which peers the preheat was for.
fn scope_sentence(case: &Case, preheat: &Preheated) -> String {
    let (node, cluster) = (&case.facts.node.name, &case.facts.node.cluster);
    let id = preheat.id;
    if !preheat.in_cluster {
        return format!("Preheat {id} was not for cluster {cluster}, the cluster of {node}.");
    }
    match (preheat.scope, case.facts.node.role) {
        (Scope::SingleSeedPeer, wire::Role::Seed) => {
            format!(
                "Preheat {id} placed each object on one seed of cluster {cluster} (scope single_seed_peer)."
            )
        }
        (Scope::AllPeers, _) | (Scope::AllSeedPeers, wire::Role::Seed) => {
            format!("{node} was not connected when preheat {id} was planned.")
        }
        (scope, wire::Role::Node) => {
            format!(
                "Preheat {id} placed the image on the seeds of cluster {cluster}, not on {node} (scope {scope})."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failures_the_first_three_are_named() {
        let object = |n: usize| ExplainedObject {
            digest: format!("sha256:{n:064}"),
            kind: wire::ObjectKind::Blob,
            media_type: String::new(),
            size: 1,
            platform: None,
            standing: ObjectStanding::Failed,
            reason: Some("gone".to_owned()),
            side: Some(wire::Side::Registry),
            at_ms: None,
            bytes_there: 0,
        };
        let objects: Vec<_> = (0..5).map(object).collect();
        let text = named(&objects.iter().collect::<Vec<_>>());
        insta::assert_snapshot!(text, @"sha256:000000000000: gone [side: registry]; sha256:000000000000: gone [side: registry]; sha256:000000000000: gone [side: registry]; and 2 more");
    }
}
