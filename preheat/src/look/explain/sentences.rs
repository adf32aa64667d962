//! The texts of findings: the state, then what to do.

use super::case::Case;
use super::facts::Preheated;
use super::views::{ExplainedObject, Finding, FindingKind, ObjectStanding};
use super::words;
use super::words::{advice, amount, are, counted, when};
use crate::model::scope::Scope;
use crate::model::state::PreheatState;
use crate::model::text::short;

/// Objects that a sentence names.
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
        "{} gives no answer: {silence}. It was last seen {seen}. By its last word, {}.",
        node.name,
        held(case)
    );
    let to_do = format!(
        "Look at stoker-peer on {} and at the way from there to the manager. Meanwhile its container runtime goes to the \
         next mirror or to the registry.",
        node.name
    );
    Some(finding(FindingKind::NodeDown, says, to_do))
}

/// `all 5 objects are there (11.77 MiB)`
fn held(case: &Case) -> String {
    let share = case.share;
    match (share.objects, share.objects_there) {
        (0, _) => "what the image is made of is not known".to_owned(),
        (all, there) if all == there => {
            format!(
                "all {} are there ({})",
                counted(all, "object"),
                amount(share.bytes)
            )
        }
        (_, 0) => "nothing of the image is there".to_owned(),
        (all, there) => format!(
            "{there} of {} {} there ({} of {})",
            counted(all, "object"),
            are(there),
            amount(share.bytes_there),
            amount(share.bytes)
        ),
    }
}

pub(super) fn still_running(case: &Case, preheat: &Preheated) -> Finding {
    let reason = preheat
        .reason
        .as_ref()
        .map(|reason| format!(" It says: {reason}."));
    let says = format!(
        "Preheat {} is still {}: on {}, {}.{}",
        preheat.id,
        preheat.state.word(),
        case.facts.node.name,
        held(case),
        reason.unwrap_or_default()
    );
    let to_do = format!("Wait for it, and watch it with: stoker preheats {}", preheat.id);
    finding(FindingKind::StillRunning, says, to_do)
}

pub(super) fn tag_gone(case: &Case, text: &str) -> Finding {
    let says = format!(
        "The registry does not know {} any more ({text}). On {}, {}.",
        case.facts.image,
        case.facts.node.name,
        held(case)
    );
    let to_do = "Push it again, or correct the name in what pulls it. Peers keep what they have until it has to make room.";
    finding(FindingKind::TagGone, says, to_do)
}

pub(super) fn tag_moved(case: &Case, preheat: &Preheated, (before, now): (&str, &str)) -> Finding {
    let tag = case.facts.tag.as_deref().unwrap_or(&case.facts.reference);
    let others = match case.reference.others {
        Some((objects, bytes)) => format!(
            "{} of {} of what it means now {} not what was preheated ({})",
            objects,
            counted(case.share.objects, "object"),
            are(objects),
            amount(bytes)
        ),
        None => "how much of it differs is not known".to_owned(),
    };
    let says = format!(
        "The tag {tag} has moved: it meant {} when preheat {} asked, {}, and means {} now. {others}; on {}, {}.",
        short(before),
        preheat.id,
        when(preheat.created_ms, case.facts.now_ms),
        short(now),
        case.facts.node.name,
        held(case)
    );
    let to_do = format!(
        "Preheat it again: {}. So that a push is followed by a preheat, let Harbor do it (event-based policy), or your \
         pipeline.",
        again(case, preheat.scope)
    );
    finding(FindingKind::TagMoved, says, to_do)
}

/// The command that brings it.
pub(super) fn again(case: &Case, scope: Scope) -> String {
    format!("stoker preheat --scope {scope} {}", case.facts.image)
}

pub(super) fn never_preheated(case: &Case) -> Finding {
    let says = format!(
        "Nobody has asked to preheat {}. On {}, {}{}.",
        case.facts.image,
        case.facts.node.name,
        held(case),
        enough(case)
    );
    let to_do = format!("Preheat it: {}", again(case, Scope::AllPeers));
    finding(FindingKind::NeverPreheated, says, to_do)
}

/// The same, beside what is missing.
fn enough_of(case: &Case) -> String {
    match case.share.whole_for.as_slice() {
        [] => String::new(),
        platforms => format!(" (all that {} needs is)", platforms.join(", ")),
    }
}

/// Part of an image is all that one platform needs.
fn enough(case: &Case) -> String {
    match case.share.whole_for.as_slice() {
        [] => String::new(),
        platforms => format!(", which is all that {} needs", platforms.join(", ")),
    }
}

pub(super) fn preheat_failed(case: &Case, preheat: &Preheated) -> Finding {
    let reason = preheat.reason.as_deref().unwrap_or("no reason was written down");
    let is_cancelled = preheat.state == PreheatState::Cancelled;
    let says = format!(
        "Preheat {} {} {}: {reason}{}. On {}, {}.",
        preheat.id,
        if is_cancelled {
            "was ended by hand"
        } else {
            "failed"
        },
        when(
            preheat.finished_ms.unwrap_or(preheat.created_ms),
            case.facts.now_ms
        ),
        side(preheat.side),
        case.facts.node.name,
        held(case)
    );
    let to_do = if is_cancelled {
        format!("If it is wanted after all: stoker retry {}", preheat.id)
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
        "{} of {} {} not on {} because preheat {} could not get {}: {}.",
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

/// The first few with their reasons.
fn named(objects: &[&ExplainedObject]) -> String {
    let first = objects.iter().take(NAMED);
    let texts: Vec<String> = first.map(|object| named_object(object)).collect();
    match objects.len().saturating_sub(NAMED) {
        0 => texts.join("; "),
        more => format!("{}; and {more} more", texts.join("; ")),
    }
}

fn named_object(object: &ExplainedObject) -> String {
    let reason = object.reason.as_deref().unwrap_or("no reason was written down");
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
        "{} of {} {} on {} and {} not any more{}: {why}.",
        count,
        counted(case.share.objects, "object"),
        if count == 1 { "was" } else { "were" },
        case.facts.node.name,
        are(count),
        at.unwrap_or_default(),
    );
    let to_do = format!(
        "{}Preheat it again: {}",
        before_that(&why),
        again(case, scope_for(case))
    );
    finding(FindingKind::RemovedSince, says, to_do)
}

/// The scope of a preheat that brings it here.
fn scope_for(case: &Case) -> Scope {
    let preheat = case.facts.preheat.as_ref();
    let for_node = preheat.filter(|preheat| !preheat.placed.is_empty());
    for_node.map_or(Scope::AllPeers, |preheat| preheat.scope)
}

/// So that it does not happen again.
fn before_that(why: &str) -> &'static str {
    if why == words::removal(Some("evicted")) {
        return "Give the store more room. ";
    }
    if why == words::removal(Some("damaged")) {
        return "Look at the node's disk. ";
    }
    ""
}

pub(super) fn not_in_scope(case: &Case, preheat: &Preheated) -> Finding {
    let missing = case.standing(ObjectStanding::NotPlacedHere).len() as u64;
    let says = format!(
        "{} {} of {} {} not here{}; a pull takes {} from {}.",
        scope_sentence(case, preheat),
        missing,
        counted(case.share.objects, "object"),
        are(missing),
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
            "Nothing, unless the image has to be on the node before the first pull: then {}",
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
    let says = format!(
        "On {}, {}. Why that is so is not written down.",
        case.facts.node.name,
        held(case)
    );
    let to_do = format!("Preheat it again: {}", again(case, Scope::AllPeers));
    finding(FindingKind::NotKnown, says, to_do)
}

/// Whom the preheat was for.
fn scope_sentence(case: &Case, preheat: &Preheated) -> String {
    let (node, cluster) = (&case.facts.node.name, &case.facts.node.cluster);
    let id = preheat.id;
    if !preheat.in_cluster {
        return format!("Preheat {id} was not for cluster {cluster}, which {node} is in.");
    }
    match (preheat.scope, case.facts.node.role) {
        (Scope::SingleSeedPeer, wire::Role::Seed) => {
            format!(
                "Preheat {id} brought each object to one seed of cluster {cluster} (scope single_seed_peer)."
            )
        }
        (Scope::AllPeers, _) | (Scope::AllSeedPeers, wire::Role::Seed) => {
            format!("{node} was not there yet when preheat {id} was planned.")
        }
        (scope, wire::Role::Node) => {
            format!(
                "Preheat {id} brought the image to the seeds of cluster {cluster} and not to {node} (scope {scope})."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_told_by_the_first_few() {
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
        assert!(
            text.starts_with("sha256:000000000000: gone [side: registry]; "),
            "{text}"
        );
        assert!(text.ends_with("; and 2 more"), "{text}");
        assert_eq!(short(&objects[0].digest).len(), 19);
    }
}
