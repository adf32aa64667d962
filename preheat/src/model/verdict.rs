//! The verdict over a preheat, computed from its counts.

use std::fmt::Write as _;

use oci::with_short_digests;
use wire::Side;

use super::state::PreheatState;
use super::text::{NAMED_FAILURES, cut, short};

/// One placement that failed, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedPlacement {
    pub(crate) digest: String,
    pub(crate) peer: String,
    pub(crate) reason: String,
    pub(crate) side: Side,
    /// It failed because its peer was disconnected for too long.
    pub(crate) peer_left: bool,
}

/// Placements of a preheat of which nothing is open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacementCounts {
    pub(crate) total: i64,
    pub(crate) verified: i64,
    /// Failed because their peer left.
    pub(crate) left: i64,
}

/// The peers that left one cluster, and how many of them its settings tolerate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeersLeft {
    pub(crate) peers: usize,
    pub(crate) tolerated: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every placement was verified, except those of peers whose leaving is tolerated.
    Succeeded,
    Failed {
        reason: String,
        side: Side,
    },
    /// A caller ended it.
    Cancelled {
        by: String,
    },
}

impl Verdict {
    pub(crate) fn state(&self) -> PreheatState {
        match self {
            Self::Succeeded => PreheatState::Succeeded,
            Self::Failed { .. } => PreheatState::Failed,
            Self::Cancelled { .. } => PreheatState::Cancelled,
        }
    }

    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Succeeded => None,
            Self::Failed { reason, .. } => Some(reason.clone()),
            Self::Cancelled { by } => Some(format!("cancelled by {by}")),
        }
    }

    /// Whose failure it was; a preheat that was cancelled did not fail.
    pub(crate) fn side(&self) -> Option<Side> {
        match self {
            Self::Failed { side, .. } => Some(*side),
            Self::Succeeded | Self::Cancelled { .. } => None,
        }
    }
}

/// Returns the verdict over a preheat without open placements. It succeeds if at least one placement was verified, and
/// each other one is on a peer whose leaving its cluster tolerates.
pub(crate) fn verdict(
    counts: PlacementCounts,
    left: &[PeersLeft],
    first_failed: &[FailedPlacement],
) -> Verdict {
    let PlacementCounts { total, verified, .. } = counts;
    let tolerated = if are_tolerated(left) { counts.left } else { 0 };
    let is_excused = |failed: &FailedPlacement| failed.peer_left && tolerated > 0;
    if verified > 0 && verified + tolerated == total && first_failed.iter().all(is_excused) {
        return Verdict::Succeeded;
    }
    let reason = reason(total - verified, total, first_failed);
    let side = first_failed.first().map_or(Side::Manager, |failed| failed.side);
    Verdict::Failed {
        reason: cut(&reason),
        side,
    }
}

/// The first failure's own reason stands in front, because Harbor's tables show only the first 120 letters.
fn reason(failed: i64, total: i64, first_failed: &[FailedPlacement]) -> String {
    let count = format!("{failed} of {total} placements failed");
    let Some((first, others)) = first_failed.split_first() else {
        return count;
    };
    let why = own_reason(first);
    let mut reason = format!("{why}; {count}, {}", place(first, &why));
    for other in others.iter().take(NAMED_FAILURES - 1) {
        let why = own_reason(other);
        // Writing into a String cannot fail.
        let _ = write!(reason, "; {}: {why}", place(other, &why));
    }
    reason
}

/// The reason without the peer that it begins with, and with short digests.
fn own_reason(failed: &FailedPlacement) -> String {
    let peer = format!("peer {}: ", failed.peer);
    let reason = failed.reason.strip_prefix(&peer).unwrap_or(&failed.reason);
    with_short_digests(reason)
}

/// Object and peer; the object only if its reason does not name it.
fn place(failed: &FailedPlacement, why: &str) -> String {
    let digest = short(&failed.digest);
    if why.contains(digest) {
        format!("on {}", failed.peer)
    } else {
        format!("{digest} on {}", failed.peer)
    }
}

fn are_tolerated(left: &[PeersLeft]) -> bool {
    let is_tolerated =
        |left: &PeersLeft| u32::try_from(left.peers).is_ok_and(|peers| peers <= left.tolerated);
    !left.is_empty() && left.iter().all(is_tolerated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(n: usize) -> FailedPlacement {
        FailedPlacement {
            digest: format!("sha256:{n:064}"),
            peer: format!("seed-{n}"),
            reason: "disk full".to_owned(),
            side: Side::Peer,
            peer_left: false,
        }
    }

    fn counts(total: i64, verified: i64, left: i64) -> PlacementCounts {
        PlacementCounts {
            total,
            verified,
            left,
        }
    }

    proptest! {
        #[test]
        fn no_preheat_succeeds_without_proof(
            total in 0_i64..20,
            verified in 0_i64..20,
            left in 0_i64..20,
            gone in proptest::collection::vec((1_usize..4, 0_u32..4), 0..4),
        ) {
            let within = !gone.is_empty() && gone.iter().all(|(peers, may)| *peers <= *may as usize);
            let gone: Vec<_> = gone.into_iter().map(|(peers, tolerated)| PeersLeft { peers, tolerated }).collect();
            let excused = if within { left } else { 0 };
            let succeeds = verdict(counts(total, verified, left), &gone, &[]) == Verdict::Succeeded;
            prop_assert_eq!(succeeds, verified > 0 && verified + excused == total);
        }
    }

    #[test]
    fn a_tolerated_leaving_excuses_what_was_on_that_peer_and_nothing_else() {
        let succeeds = |counts, left: &[PeersLeft], failed: &[FailedPlacement]| {
            verdict(counts, left, failed) == Verdict::Succeeded
        };
        let gone = |peers, tolerated| PeersLeft { peers, tolerated };
        let left = FailedPlacement {
            peer_left: true,
            ..failed(1)
        };
        let told = std::slice::from_ref(&left);
        assert!(succeeds(counts(6, 3, 3), &[gone(1, 1)], told));
        assert!(!succeeds(counts(6, 3, 3), &[gone(2, 1)], told));
        assert!(!succeeds(counts(6, 3, 3), &[gone(1, 1), gone(1, 0)], told));
        assert!(!succeeds(counts(6, 2, 3), &[gone(1, 1)], told), "one more failed");
        assert!(!succeeds(
            counts(6, 3, 3),
            &[gone(1, 1)],
            &[failed(2), left.clone()]
        ));
        assert!(
            !succeeds(counts(3, 0, 3), &[gone(1, 1)], told),
            "nothing was proven"
        );
    }

    #[test]
    fn a_failure_names_object_peer_and_reason() {
        let all: Vec<_> = (0..5).map(failed).collect();
        let Verdict::Failed { reason, side } = verdict(counts(9, 4, 0), &[], &all) else {
            panic!("not failed")
        };
        insta::assert_snapshot!(reason, @"disk full; 5 of 9 placements failed, sha256:000000000000 on seed-0; sha256:000000000000 on seed-1: disk full; sha256:000000000000 on seed-2: disk full");
        assert_eq!(side, Side::Peer);
    }

    #[test]
    fn a_failure_names_peer_and_digest_once_and_its_reason_first() {
        let digest = format!("sha256:{}", "8e61fd6d".repeat(8));
        let told = FailedPlacement {
            reason: format!(
                "peer seed-0: r.lan: blob {digest} of team/app not found: HTTP 404; push the image again"
            ),
            digest,
            ..failed(0)
        };
        let Verdict::Failed { reason, .. } = verdict(counts(9, 8, 0), &[], &[told]) else {
            panic!("not failed")
        };
        insta::assert_snapshot!(reason, @"r.lan: blob sha256:8e61fd6d8e61 of team/app not found: HTTP 404; push the image again; 1 of 9 placements failed, on seed-0");
    }
}
