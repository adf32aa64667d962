//! The last pull of each object of the image through the node.

use std::collections::{BTreeSet, HashSet};

use wire::{Pull, PullResult};

use super::facts::ExplainedFacts;
use super::views::{ExplainedObject, ExplainedPull, Share};

/// Returns the newest pull of each object, newest first.
pub(super) fn last(facts: &ExplainedFacts) -> Vec<ExplainedPull> {
    let Ok(reply) = &facts.reply else {
        return Vec::new();
    };
    let mut pulls: Vec<&Pull> = reply
        .pulls
        .iter()
        .filter(|pulled| is_of_image(facts, pulled))
        .collect();
    pulls.sort_by_key(|pulled| std::cmp::Reverse(pulled.at_unix_ms));
    let got: HashSet<&str> = pulls
        .iter()
        .filter(|pulled| pulled.result != PullResult::Head)
        .map(|pulled| pulled.reference.as_str())
        .collect();
    let mut listed = HashSet::new();
    // Runtimes ask for headers first: a HEAD matters only if no GET followed.
    pulls.retain(|pulled| {
        let is_shown = pulled.result != PullResult::Head || !got.contains(pulled.reference.as_str());
        is_shown && listed.insert(pulled.reference.as_str())
    });
    pulls.into_iter().map(|pulled| explained(facts, pulled)).collect()
}

fn is_of_image(facts: &ExplainedFacts, pulled: &Pull) -> bool {
    let is_named = Some(&pulled.reference) == facts.tag.as_ref() || pulled.reference == facts.reference;
    let digest = pulled.digest.as_deref().unwrap_or(&pulled.reference);
    let is_needed = facts.needed.iter().any(|object| object.digest == digest);
    // If the objects of the image are unknown, any object of its repository may belong to it.
    let anything = facts.needed.is_empty() && (pulled.reference.contains(':') || facts.tag.is_none());
    is_named || is_needed || anything
}

fn explained(facts: &ExplainedFacts, pulled: &Pull) -> ExplainedPull {
    ExplainedPull {
        at_ms: pulled.at_unix_ms,
        reference: pulled.reference.clone(),
        digest: pulled.digest.clone(),
        kind: pulled.kind,
        result: pulled.result,
        sources: pulled.sources.clone(),
        bytes: pulled.bytes,
        took_ms: pulled.took_ms,
        megabytes_per_second: speed(pulled.bytes, pulled.took_ms),
        status: pulled.status,
        trouble: pulled.trouble.clone(),
        trace_url: pulled
            .trace_id
            .as_deref()
            .and_then(|id| facts.trace_pages.url_of(id)),
        trace_id: pulled.trace_id.clone(),
    }
}

/// Fewer bytes give no useful speed.
const TOO_LITTLE: u64 = 64 * 1024;

/// Returns the speed of all pulls together, over the time in which any of them ran.
pub(super) fn speed_of(pulls: &[&ExplainedPull]) -> Option<f64> {
    let mut times: Vec<(i64, i64)> = pulls
        .iter()
        .map(|pull| (pull.at_ms, pull.at_ms.saturating_add_unsigned(pull.took_ms)))
        .collect();
    times.sort_unstable();
    let (mut busy, mut until) = (0, i64::MIN);
    for (begin, end) in times {
        busy += end.saturating_sub(begin.max(until)).max(0);
        until = until.max(end);
    }
    speed(
        pulls.iter().map(|pull| pull.bytes).sum(),
        u64::try_from(busy).ok()?,
    )
}

/// In 10^6 bytes a second.
fn speed(bytes: u64, took_ms: u64) -> Option<f64> {
    let bytes = u32::try_from(bytes / 100).ok().filter(|_| bytes >= TOO_LITTLE)?;
    let took_ms = u32::try_from(took_ms).ok().filter(|took_ms| *took_ms > 0)?;
    Some((f64::from(bytes) / f64::from(took_ms)).round() / 10.0)
}

/// The pulls by their result.
#[derive(Debug, Default)]
pub(super) struct PullsByResult<'a> {
    pub(super) failed: Vec<&'a ExplainedPull>,
    pub(super) refused: Vec<&'a ExplainedPull>,
    pub(super) from_registry: Vec<&'a ExplainedPull>,
    pub(super) from_peers: Vec<&'a ExplainedPull>,
    pub(super) from_store: Vec<&'a ExplainedPull>,
    /// The runtime only asked for headers.
    pub(super) heads: Vec<&'a ExplainedPull>,
}

impl<'a> PullsByResult<'a> {
    pub(super) fn of(pulls: &'a [ExplainedPull]) -> Self {
        let mut by_result = Self::default();
        for pull in pulls {
            let has_registry = pull.sources.iter().any(|source| source.is_registry);
            let pile = match pull.result {
                PullResult::Failed => &mut by_result.failed,
                PullResult::Refused => &mut by_result.refused,
                PullResult::Head => &mut by_result.heads,
                PullResult::Hit => &mut by_result.from_store,
                PullResult::Join | PullResult::Miss if has_registry => &mut by_result.from_registry,
                PullResult::Join | PullResult::Miss => &mut by_result.from_peers,
            };
            pile.push(pull);
        }
        by_result
    }
}

/// Returns the names of the peers that sent bytes.
pub(super) fn givers(pulls: &[&ExplainedPull]) -> Vec<String> {
    let peers = pulls
        .iter()
        .flat_map(|pull| &pull.sources)
        .filter(|source| !source.is_registry);
    let names: BTreeSet<String> = peers
        .map(|source| source.peer.clone().unwrap_or_else(|| source.source.clone()))
        .collect();
    names.into_iter().collect()
}

/// Returns whether the node holds the whole image, or all objects of the platforms that were pulled here.
pub(super) fn is_enough(share: &Share, objects: &[ExplainedObject], pulls: &[ExplainedPull]) -> bool {
    let platform_of = |pull: &ExplainedPull| {
        let digest = pull.digest.as_deref().unwrap_or(&pull.reference);
        let object = objects.iter().find(|object| object.digest == digest);
        object.and_then(|object| object.platform.as_ref())
    };
    let mut pulled = pulls.iter().filter_map(platform_of).peekable();
    share.whole || (pulled.peek().is_some() && pulled.all(|platform| share.whole_for.contains(platform)))
}
