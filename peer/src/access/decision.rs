//! Decides whether a caller may read an object, from kept grants and the registry's answer. Pure functions.
//!
//! **Invariant:** an object is read only with a grant: the registry's present one, a kept one that is young enough, or a
//! public record. An unreachable host extends a kept grant by days, a failed question by an hour; neither makes one.

use std::time::Duration;

/// The age of the youngest grant that covers the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GrantAge {
    None,
    /// Counts while the host is unreachable.
    Stale,
    /// Counts when the question fails, too.
    Recent,
    /// Counts without asking again.
    Fresh,
}

/// How long a grant counts: without a question, after a failed one, while the host is unreachable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrantAgeLimits {
    pub(crate) fresh: Duration,
    pub(crate) on_error: Duration,
    pub(crate) offline: Duration,
}

impl GrantAge {
    pub(crate) fn of_age(given_at_ms: Option<i64>, now_ms: i64, ages: GrantAgeLimits) -> Self {
        // After a clock was set back, a grant counts as new.
        let age = given_at_ms.map(|at| u128::try_from(now_ms.saturating_sub(at)).unwrap_or(0));
        match age {
            Some(age) if age <= ages.fresh.as_millis() => Self::Fresh,
            Some(age) if age <= ages.on_error.as_millis() => Self::Recent,
            Some(age) if age <= ages.offline.as_millis() => Self::Stale,
            _ => Self::None,
        }
    }
}

/// The registry's answer to a question about the object, with the caller's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    Granted,
    /// 401.
    Challenge,
    /// 403, 404, or another status that is a refusal.
    Refused,
    /// The question failed; the host is reachable.
    Failed,
    /// The host is unreachable.
    Unreachable,
}

/// What else decides when the registry gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circumstances {
    pub(crate) kept: GrantAge,
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
    /// The registry's last challenge goes to the caller, who may return with a credential.
    RepeatChallenge,
    /// The failure goes to the caller, with the registry's status.
    PassFailure,
    /// Nothing is known: the runtime asks elsewhere.
    Unavailable,
}

pub(crate) fn judge(answer: AnswerKind, circumstances: Circumstances) -> Verdict {
    let Circumstances {
        kept,
        showed_a_credential,
        node_vouches,
        challenge_is_known,
    } = circumstances;
    match answer {
        AnswerKind::Granted => Verdict::Read,
        AnswerKind::Challenge => Verdict::PassChallenge,
        AnswerKind::Refused => Verdict::PassRefusal,
        AnswerKind::Failed if kept >= GrantAge::Recent => Verdict::Read,
        AnswerKind::Failed => Verdict::PassFailure,
        AnswerKind::Unreachable if kept != GrantAge::None || node_vouches => Verdict::Read,
        AnswerKind::Unreachable if challenge_is_known && !showed_a_credential => Verdict::RepeatChallenge,
        AnswerKind::Unreachable => Verdict::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGES: GrantAgeLimits = GrantAgeLimits {
        fresh: Duration::from_secs(600),
        on_error: Duration::from_secs(3_600),
        offline: Duration::from_secs(7 * 86_400),
    };

    fn kept() -> impl Strategy<Value = GrantAge> {
        prop_oneof![
            Just(GrantAge::Fresh),
            Just(GrantAge::Recent),
            Just(GrantAge::Stale),
            Just(GrantAge::None)
        ]
    }

    fn answer() -> impl Strategy<Value = AnswerKind> {
        prop_oneof![
            Just(AnswerKind::Granted),
            Just(AnswerKind::Challenge),
            Just(AnswerKind::Refused),
            Just(AnswerKind::Failed),
            Just(AnswerKind::Unreachable)
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_read_without_a_grant(answer in answer(), showed: bool, known: bool) {
            let nothing = Circumstances {
                kept: GrantAge::None,
                showed_a_credential: showed,
                node_vouches: false,
                challenge_is_known: known,
            };
            prop_assert_eq!(judge(answer, nothing) == Verdict::Read, answer == AnswerKind::Granted);
        }

        #[test]
        fn a_registry_that_answers_is_believed(kept in kept(), answer in answer(), showed: bool, vouches: bool, known: bool) {
            let verdict = judge(answer, Circumstances {
                kept,
                showed_a_credential: showed,
                node_vouches: vouches,
                challenge_is_known: known,
            });
            match answer {
                AnswerKind::Granted => prop_assert_eq!(verdict, Verdict::Read),
                AnswerKind::Challenge => prop_assert_eq!(verdict, Verdict::PassChallenge),
                AnswerKind::Refused => prop_assert_eq!(verdict, Verdict::PassRefusal),
                AnswerKind::Failed => prop_assert_eq!(verdict == Verdict::Read, kept >= GrantAge::Recent),
                AnswerKind::Unreachable => prop_assert_eq!(verdict == Verdict::Read, kept != GrantAge::None || vouches),
            }
        }

        #[test]
        fn a_grant_never_gets_younger(at in 0_i64..1_000_000_000, later in 0_i64..1_000_000_000) {
            let kept = |now| GrantAge::of_age(Some(at), now, AGES);
            prop_assert!(kept(at) >= kept(at + later));
            prop_assert_eq!(kept(at), GrantAge::Fresh);
        }
    }

    #[test]
    fn the_limits_are_the_configured_ones() {
        let kept = |now| GrantAge::of_age(Some(0), now, AGES);
        assert_eq!(kept(600_000), GrantAge::Fresh);
        assert_eq!(kept(600_001), GrantAge::Recent);
        assert_eq!(kept(3_600_000), GrantAge::Recent);
        assert_eq!(kept(3_600_001), GrantAge::Stale);
        assert_eq!(kept(7 * 86_400_000), GrantAge::Stale);
        assert_eq!(kept(7 * 86_400_000 + 1), GrantAge::None);
        assert_eq!(GrantAge::of_age(None, 0, AGES), GrantAge::None);
    }

    /// When a question fails, only a grant of the last hour counts, even if the node vouches.
    #[test]
    fn a_failed_question_does_not_count_as_an_outage() {
        let stale = Circumstances {
            kept: GrantAge::Stale,
            showed_a_credential: true,
            node_vouches: true,
            challenge_is_known: true,
        };
        assert_eq!(judge(AnswerKind::Failed, stale), Verdict::PassFailure);
        assert_eq!(judge(AnswerKind::Unreachable, stale), Verdict::Read);
    }
}
