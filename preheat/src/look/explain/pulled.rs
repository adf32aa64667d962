//! Findings about pulls through the node.

use super::case::Case;
use super::pulls::{givers, is_enough, speed_of};
use super::sentences::{again, finding};
use super::views::{ExplainedPull, Finding, FindingKind};
use super::words::{amount, counted, when};
use crate::model::scope::Scope;

pub(super) fn pull_failed(case: &Case) -> Option<Finding> {
    let first = case.sorted.failed.first()?;
    let says = format!(
        "The last pull through {} failed for {} {}: {}.",
        case.facts.node.name,
        counted(case.sorted.failed.len() as u64, "object"),
        when(first.at_ms, case.facts.now_ms),
        trouble(first)
    );
    let to_do = "Look at the reason, then pull again: what has arrived is kept. The peer's log has the whole story under \
                 that pull's trace id.";
    Some(finding(FindingKind::PullFailed, says, to_do))
}

pub(super) fn pull_refused(case: &Case) -> Option<Finding> {
    let first = case.sorted.refused.first()?;
    let says = format!(
        "{} refused {} of the last pull {}: {}.",
        case.facts.node.name,
        counted(case.sorted.refused.len() as u64, "object"),
        when(first.at_ms, case.facts.now_ms),
        trouble(first)
    );
    let to_do = "Check the pull secret of the workload: whoever may not pull from the registry may not pull from a peer.";
    Some(finding(FindingKind::PullRefused, says, to_do))
}

fn trouble(pull: &ExplainedPull) -> String {
    let trouble = pull.trouble.clone();
    trouble.unwrap_or_else(|| format!("it answered {}", pull.status))
}

/// Only where all that the node's runtime needs is there.
pub(super) fn whole(case: &Case) -> Option<Finding> {
    if case.facts.reply.is_err() || !is_enough(case.share, case.objects, case.pulls) {
        return None;
    }
    let sorted = &case.sorted;
    if !sorted.failed.is_empty() || !sorted.refused.is_empty() {
        return None;
    }
    Some(
        match (
            sorted.from_registry.as_slice(),
            sorted.from_peers.as_slice(),
            sorted.from_store.as_slice(),
        ) {
            ([], [], []) => not_pulled(case),
            ([], [], stored) => pulled_from_store(case, stored),
            ([], given, _) => pulled_from_peers(case, given),
            (fetched, ..) => pulled_from_registry(case, fetched),
        },
    )
}

/// `The image is on node-1 whole: 5 objects, 11.77 MiB`
fn there(case: &Case) -> String {
    let share = case.share;
    match share.whole_for.as_slice() {
        [] => format!(
            "The image is on {} whole ({}, {})",
            case.facts.node.name,
            counted(share.objects, "object"),
            amount(share.bytes)
        ),
        platforms => format!(
            "What {} needs of the image is on {} whole",
            platforms.join(", "),
            case.facts.node.name
        ),
    }
}

fn pulled_from_store(case: &Case, stored: &[&ExplainedPull]) -> Finding {
    let says = format!(
        "{}, and its last pull came from the node's own store: {}.",
        there(case),
        pulled(case, stored)
    );
    let to_do = "Nothing. If a start was slow all the same, look at what the runtime does after the pull (unpacking).";
    finding(FindingKind::WholePulledFromStore, says, to_do)
}

fn pulled_from_peers(case: &Case, given: &[&ExplainedPull]) -> Finding {
    let says = format!(
        "{}. Its last pull took some of it from {}: {}. The next one comes from the store.",
        there(case),
        givers(given).join(", "),
        pulled(case, given)
    );
    let to_do = format!(
        "Nothing, unless the first pull has to be local too: then preheat with {}",
        again(case, Scope::AllPeers)
    );
    finding(FindingKind::WholePulledFromPeers, says, to_do)
}

fn pulled_from_registry(case: &Case, fetched: &[&ExplainedPull]) -> Finding {
    let says = format!(
        "{}. Its last pull had to go to the registry: {}{}. The next one comes from the store.",
        there(case),
        pulled(case, fetched),
        why_registry(case, fetched)
    );
    let to_do =
        "Preheat before the first pull. If that was done, look at the times: the pull may have come first.";
    finding(FindingKind::WholePulledFromRegistry, says, to_do)
}

/// The order of things, where a preheat was done.
fn why_registry(case: &Case, fetched: &[&ExplainedPull]) -> &'static str {
    let ended = case
        .facts
        .preheat
        .as_ref()
        .and_then(|preheat| preheat.finished_ms);
    let first = fetched.iter().map(|pull| pull.at_ms).min();
    match (ended, first) {
        (Some(ended), Some(first)) if first < ended => ", before the preheat was done",
        (Some(_), Some(_)) => ", after the preheat: at that moment neither the store nor a peer had it",
        _ => "",
    }
}

/// `3 objects, 11.77 MiB at 184.2 MB/s, 2026-11-21 15:40:02 UTC (3 min ago)`
fn pulled(case: &Case, pulls: &[&ExplainedPull]) -> String {
    let bytes: u64 = pulls.iter().map(|pull| pull.bytes).sum();
    let speed = speed_of(pulls).map(|speed| format!(" at {speed:.1} MB/s"));
    let at_ms = pulls.iter().map(|pull| pull.at_ms).max().unwrap_or_default();
    format!(
        "{}, {}{}, {}",
        counted(pulls.len() as u64, "object"),
        amount(bytes),
        speed.unwrap_or_default(),
        when(at_ms, case.facts.now_ms)
    )
}

fn not_pulled(case: &Case) -> Finding {
    let heads = if case.sorted.heads.is_empty() {
        "and no pull of it through this node is remembered"
    } else {
        "and the last that a runtime did was to ask for its headers: it has the layers already"
    };
    let to_do = format!(
        "Nothing. If a runtime on this node did pull it, it went past the peer: check its mirror for {} (containerd: \
         hosts.toml).",
        case.facts.registry
    );
    finding(
        FindingKind::WholeNotPulledYet,
        format!("{}, {heads}.", there(case)),
        to_do,
    )
}
