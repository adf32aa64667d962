//! How a preheat ends, said from its counts.

use wire::Side;

/// One placement that failed, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedPlacement {
    pub(crate) digest: String,
    pub(crate) peer: String,
    pub(crate) reason: String,
    pub(crate) side: Side,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every placement was proven.
    Succeeded,
    Failed {
        reason: String,
        side: Side,
    },
}

/// Of how many failures a verdict tells.
pub(crate) const TOLD: usize = 3;
const LONGEST_REASON: usize = 2_000;

/// The verdict over a preheat of which nothing is open any more. Success only when everything was verified.
pub(crate) fn verdict(total: i64, verified: i64, first_failed: &[FailedPlacement]) -> Verdict {
    if total > 0 && verified == total && first_failed.is_empty() {
        return Verdict::Succeeded;
    }
    let told: Vec<String> = first_failed
        .iter()
        .take(TOLD)
        .map(|failed| format!("{} on {}: {}", short(&failed.digest), failed.peer, failed.reason))
        .collect();
    let failed = total - verified;
    let reason = format!("{failed} of {total} placements failed: {}", told.join("; "));
    let side = first_failed.first().map_or(Side::Manager, |failed| failed.side);
    Verdict::Failed {
        reason: cut(&reason),
        side,
    }
}

/// A digest as people tell it apart.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

/// A side in the words of the wire, as it is stored.
pub(crate) fn side_word(side: Side) -> &'static str {
    match side {
        Side::Caller => "caller",
        Side::Registry => "registry",
        Side::Network => "network",
        Side::Peer => "peer",
        Side::Manager => "manager",
    }
}

pub(crate) fn side_of(word: &str) -> Side {
    match word {
        "caller" => Side::Caller,
        "registry" => Side::Registry,
        "network" => Side::Network,
        "peer" => Side::Peer,
        _ => Side::Manager,
    }
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
        }
    }

    proptest! {
        #[test]
        fn success_is_never_said_without_proof(total in 0_i64..50, verified in 0_i64..50) {
            let said = verdict(total, verified, &[]) == Verdict::Succeeded;
            prop_assert_eq!(said, total > 0 && verified == total);
        }
    }

    #[test]
    fn a_failure_names_object_peer_and_reason() {
        let all: Vec<_> = (0..5).map(failed).collect();
        let Verdict::Failed { reason, side } = verdict(9, 4, &all) else {
            panic!("not failed")
        };
        assert!(
            reason.starts_with("5 of 9 placements failed: sha256:000000000000 on seed-0: disk full"),
            "{reason}"
        );
        assert!(!reason.contains("seed-3"), "{reason}");
        assert_eq!(side, Side::Peer);
    }

    #[test]
    fn sides_survive_the_database() {
        for side in [
            Side::Caller,
            Side::Registry,
            Side::Network,
            Side::Peer,
            Side::Manager,
        ] {
            assert_eq!(side_of(side_word(side)), side);
        }
    }
}
