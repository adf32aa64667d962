//! May this caller read this object: the decision alone, from what is kept and what the registry said.
//!
//! **Invariant:** bytes are given out only on a yes: the registry's own, just now or kept and not too old, or a
//! record that anybody may read. A silent registry prolongs a yes and never makes one.

use std::time::Duration;

/// How old the youngest yes is that covers the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Taken without asking again.
    Fresh,
    /// Taken while the registry is silent.
    Stale,
    None,
}

impl Kept {
    pub(crate) fn of_age(
        given_at_ms: Option<i64>,
        now_ms: i64,
        yes_kept: Duration,
        yes_kept_offline: Duration,
    ) -> Self {
        // A clock that was turned back makes no yes younger than new.
        let age = given_at_ms.map(|at| u128::try_from(now_ms.saturating_sub(at)).unwrap_or(0));
        match age {
            Some(age) if age <= yes_kept.as_millis() => Self::Fresh,
            Some(age) if age <= yes_kept_offline.as_millis() => Self::Stale,
            _ => Self::None,
        }
    }
}

impl Kept {
    /// The younger of two.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fresh, _) | (_, Self::Fresh) => Self::Fresh,
            (Self::Stale, _) | (_, Self::Stale) => Self::Stale,
            (Self::None, Self::None) => Self::None,
        }
    }
}

/// What the registry answered when it was asked for the very object with the caller's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Yes,
    /// 401.
    Challenge,
    /// 403, 404 and whatever else is a no.
    No,
    Silent,
}

/// What else counts while the registry is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) kept: Kept,
    pub(crate) showed_a_credential: bool,
    /// `offline_access = "node_credential"`, and this node has one.
    pub(crate) node_vouches: bool,
    pub(crate) challenge_is_known: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Read,
    /// The registry's challenge goes to the caller.
    PassChallenge,
    /// The registry's refusal goes to the caller.
    PassRefusal,
    /// The registry's last challenge goes to the caller, who may come back with a credential.
    RepeatChallenge,
    /// Nothing can be told: the runtime asks elsewhere.
    Unavailable,
}

pub(crate) fn judge(said: Said, circumstances: Circumstances) -> Verdict {
    let Circumstances {
        kept,
        showed_a_credential,
        node_vouches,
        challenge_is_known,
    } = circumstances;
    match said {
        Said::Yes => Verdict::Read,
        Said::Challenge => Verdict::PassChallenge,
        Said::No => Verdict::PassRefusal,
        Said::Silent if kept != Kept::None || node_vouches => Verdict::Read,
        Said::Silent if challenge_is_known && !showed_a_credential => Verdict::RepeatChallenge,
        Said::Silent => Verdict::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTES: Duration = Duration::from_secs(600);
    const DAYS: Duration = Duration::from_secs(7 * 86_400);

    fn kept() -> impl Strategy<Value = Kept> {
        prop_oneof![Just(Kept::Fresh), Just(Kept::Stale), Just(Kept::None)]
    }

    fn said() -> impl Strategy<Value = Said> {
        prop_oneof![
            Just(Said::Yes),
            Just(Said::Challenge),
            Just(Said::No),
            Just(Said::Silent)
        ]
    }

    proptest! {
        #[test]
        fn without_any_yes_nothing_is_read(said in said(), showed: bool, known: bool) {
            let nothing = Circumstances {
                kept: Kept::None,
                showed_a_credential: showed,
                node_vouches: false,
                challenge_is_known: known,
            };
            prop_assert_eq!(judge(said, nothing) == Verdict::Read, said == Said::Yes);
        }

        #[test]
        fn a_registry_that_answers_is_believed(kept in kept(), said in said(), showed: bool, vouches: bool, known: bool) {
            let verdict = judge(said, Circumstances {
                kept,
                showed_a_credential: showed,
                node_vouches: vouches,
                challenge_is_known: known,
            });
            match said {
                Said::Yes => prop_assert_eq!(verdict, Verdict::Read),
                Said::Challenge => prop_assert_eq!(verdict, Verdict::PassChallenge),
                Said::No => prop_assert_eq!(verdict, Verdict::PassRefusal),
                Said::Silent => prop_assert_eq!(verdict == Verdict::Read, kept != Kept::None || vouches),
            }
        }

        #[test]
        fn a_yes_never_gets_younger(at in 0_i64..1_000_000_000, later in 0_i64..1_000_000_000) {
            let rank = |now| match Kept::of_age(Some(at), now, MINUTES, DAYS) {
                Kept::Fresh => 0,
                Kept::Stale => 1,
                Kept::None => 2,
            };
            prop_assert!(rank(at) <= rank(at + later));
            prop_assert_eq!(rank(at), 0);
        }
    }

    #[test]
    fn the_limits_are_the_configured_ones() {
        assert_eq!(Kept::of_age(Some(0), 600_000, MINUTES, DAYS), Kept::Fresh);
        assert_eq!(Kept::of_age(Some(0), 600_001, MINUTES, DAYS), Kept::Stale);
        assert_eq!(Kept::of_age(Some(0), 7 * 86_400_000, MINUTES, DAYS), Kept::Stale);
        assert_eq!(
            Kept::of_age(Some(0), 7 * 86_400_000 + 1, MINUTES, DAYS),
            Kept::None
        );
        assert_eq!(Kept::of_age(None, 0, MINUTES, DAYS), Kept::None);
    }
}
