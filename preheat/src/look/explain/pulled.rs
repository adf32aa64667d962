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
        "The last pull through {} failed for {}, {}: {}.",
        case.facts.node.name,
        counted(case.sorted.failed.len() as u64, "object"),
        when(first.at_ms, case.facts.now_ms),
        trouble(first)
    );
    let to_do = "Follow the reason, then pull again: bytes that have arrived are kept. The peer's log has the details under \
                 the trace id of that pull.";
    Some(finding(FindingKind::PullFailed, says, to_do))
}

pub(super) fn pull_refused(case: &Case) -> Option<Finding> {
    let first = case.sorted.refused.first()?;
    let says = format!(
        "{} refused {} of the last pull, {}: {}.",
        case.facts.node.name,
        counted(case.sorted.refused.len() as u64, "object"),
        when(first.at_ms, case.facts.now_ms),
        trouble(first)
    );
    let to_do = "Check the pull secret of the workload: a peer refuses what the registry refuses.";
    Some(finding(FindingKind::PullRefused, says, to_do))
}

fn trouble(pull: &ExplainedPull) -> String {
    let trouble = pull.trouble.clone();
    trouble.unwrap_or_else(|| format!("the peer answered with status {}", pull.status))
}

/// None if the node's runtime needs an object that is missing.
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

/// `node-1 holds the whole image (5 objects, 11.77 MiB)`
fn there(case: &Case) -> String {
    let share = case.share;
    match share.whole_for.as_slice() {
        [] => format!(
            "{} holds the whole image ({}, {})",
            case.facts.node.name,
            counted(share.objects, "object"),
            amount(share.bytes)
        ),
        platforms => format!(
            "{} holds all that {} needs of the image",
            case.facts.node.name,
            platforms.join(", ")
        ),
    }
}

fn pulled_from_store(case: &Case, stored: &[&ExplainedPull]) -> Finding {
    let says = format!(
        "{}. The last pull came from its own store: {}.",
        there(case),
        pulled(case, stored)
    );
    let to_do = "Nothing. If the start was slow, check what the runtime does after the pull (unpacking).";
    finding(FindingKind::WholePulledFromStore, says, to_do)
}

fn pulled_from_peers(case: &Case, given: &[&ExplainedPull]) -> Finding {
    let says = format!(
        "{}. The last pull fetched from {}: {}. The next pull reads from the store.",
        there(case),
        givers(given).join(", "),
        pulled(case, given)
    );
    let to_do = format!(
        "Nothing, unless the first pull has to be local too: then run {}",
        again(case, Scope::AllPeers)
    );
    finding(FindingKind::WholePulledFromPeers, says, to_do)
}

fn pulled_from_registry(case: &Case, fetched: &[&ExplainedPull]) -> Finding {
    let says = format!(
        "{}. The last pull read from the registry: {}{}. The next pull reads from the store.",
        there(case),
        pulled(case, fetched),
        why_registry(case, fetched)
    );
    let to_do = "Preheat before the first pull. If you did, compare the times: the pull may have come first.";
    finding(FindingKind::WholePulledFromRegistry, says, to_do)
}

/// Whether the pull came before or after the end of the preheat.
fn why_registry(case: &Case, fetched: &[&ExplainedPull]) -> &'static str {
    let ended = case
        .facts
        .preheat
        .as_ref()
        .and_then(|preheat| preheat.finished_ms);
    let first = fetched.iter().map(|pull| pull.at_ms).min();
    match (ended, first) {
        (Some(ended), Some(first)) if first < ended => ", before the preheat had ended",
        (Some(_), Some(_)) => ", after the preheat: neither the store nor a peer held the objects then",
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
        "No pull of it through this node is recorded"
    } else {
        "The last request of a runtime was for headers only: the runtime has the layers already"
    };
    let to_do = format!(
        "Nothing. If a runtime on this node did pull the image, the pull bypassed the peer: check the runtime's mirror for \
         {} (containerd: hosts.toml).",
        case.facts.registry
    );
    finding(
        FindingKind::WholeNotPulledYet,
        format!("{}. {heads}.", there(case)),
        to_do,
    )
}
