//! Tracks the activity on one connection and decides whether it stays open.
//!
//! **Invariant:** a connection with an inactive client is closed. [`verdict`] has a limit for each state that waits for
//! the client, and none for states that wait for us (long polls, event streams, slow registries).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use super::ListenerLimits;

/// A response on its way to the client.
pub(super) trait WatchedResponse: Send + Sync {
    /// Returns since when a part of the body waits for the client to ask for the next one.
    fn given_since(&self) -> Option<Instant>;

    /// Drops the body if `is_stalled` holds for the time at which its last part was handed over.
    fn release_if(&self, is_stalled: &dyn Fn(Instant) -> bool);
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Silent,
    Head,
    Idle,
    Stalled,
}

impl fmt::Display for Overdue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Silent => "the client sent nothing",
            Self::Head => "the client did not finish its request head",
            Self::Idle => "idle for too long",
            Self::Stalled => "the client reads nothing of the response",
        })
    }
}

/// The observed state of a connection.
#[derive(Debug, Clone, Copy)]
struct Facts {
    opened: Instant,
    /// When the first byte arrived since the last request or since the connection was opened.
    head_since: Option<Instant>,
    /// Since when no request is in progress.
    quiet_since: Instant,
    /// Requests whose response is not complete.
    in_progress: usize,
    /// Whether there was a request.
    served: bool,
    /// HTTP/2: bytes between requests do not begin a head.
    multiplexed: bool,
    /// Time of the first blocked write since the last successful one.
    blocked_since: Option<Instant>,
    /// Since when the oldest handed-over chunk waits for the client to request the next.
    given_since: Option<Instant>,
}

enum Verdict {
    Close(Overdue),
    LookAgain(Instant),
}

/// Decides whether to close the connection now, or when to check again.
fn verdict(facts: &Facts, limits: &ListenerLimits, now: Instant) -> Verdict {
    let stalled = facts.blocked_since.into_iter().chain(facts.given_since).min();
    let deadlines = [
        stalled.map(|since| (since + limits.stalled_reader, Overdue::Stalled)),
        (facts.in_progress == 0).then(|| quiet(facts, limits)),
    ];
    let first = deadlines.into_iter().flatten().min_by_key(|(at, _)| *at);
    let again = now + limits.look_every();
    match first {
        Some((at, why)) if at <= now => Verdict::Close(why),
        Some((at, _)) => Verdict::LookAgain(at.min(again)),
        None => Verdict::LookAgain(again),
    }
}

/// Returns the deadline of a connection without a request.
fn quiet(facts: &Facts, limits: &ListenerLimits) -> (Instant, Overdue) {
    match facts.head_since {
        Some(since) if !(facts.served && facts.multiplexed) => (since + limits.head, Overdue::Head),
        None if !facts.served => (facts.opened + limits.first_byte, Overdue::Silent),
        _ => (facts.quiet_since + limits.idle, Overdue::Idle),
    }
}

struct State {
    facts: Facts,
    /// Responses in progress.
    answers: HashMap<u64, Arc<dyn WatchedResponse>>,
    next: u64,
}

/// The activity of a connection, shared by its socket, its requests and the watch.
pub(super) struct ConnectionActivity {
    limits: ListenerLimits,
    state: Mutex<State>,
}

impl ConnectionActivity {
    pub(super) fn new(limits: ListenerLimits) -> Arc<Self> {
        let now = Instant::now();
        let facts = Facts {
            opened: now,
            head_since: None,
            quiet_since: now,
            in_progress: 0,
            served: false,
            multiplexed: false,
            blocked_since: None,
            given_since: None,
        };
        Arc::new(Self {
            limits,
            state: Mutex::new(State {
                facts,
                answers: HashMap::new(),
                next: 0,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn received(&self) {
        let facts = &mut self.state().facts;
        if facts.in_progress == 0 {
            facts.head_since.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn wrote(&self) {
        self.state().facts.blocked_since = None;
    }

    pub(super) fn blocked(&self) {
        self.state().facts.blocked_since.get_or_insert_with(Instant::now);
    }

    /// Notes that a request's head arrived.
    pub(super) fn begin(self: &Arc<Self>, version: http::Version) -> InProgress {
        let facts = &mut self.state().facts;
        facts.in_progress += 1;
        facts.served = true;
        facts.multiplexed = version == http::Version::HTTP_2;
        facts.head_since = None;
        InProgress {
            activity: Arc::clone(self),
            answer: None,
        }
    }

    /// Completes when the client was inactive for too long.
    pub(super) async fn overdue(&self) -> Overdue {
        loop {
            match self.look(Instant::now()) {
                Verdict::Close(why) => return why,
                Verdict::LookAgain(at) => sleep_until(at).await,
            }
        }
    }

    fn look(&self, now: Instant) -> Verdict {
        let (mut facts, answers) = {
            let state = self.state();
            (state.facts, state.answers.values().cloned().collect::<Vec<_>>())
        };
        if facts.multiplexed {
            // Other requests of this connection may be active: only the stalled one loses its response.
            let stalled = |since: Instant| since + self.limits.stalled_reader <= now;
            for answer in &answers {
                answer.release_if(&stalled);
            }
            facts = self.state().facts;
        } else {
            facts.given_since = answers.iter().filter_map(|answer| answer.given_since()).min();
        }
        verdict(&facts, &self.limits, now)
    }
}

/// A request in progress; it ends when this is dropped.
pub(super) struct InProgress {
    activity: Arc<ConnectionActivity>,
    answer: Option<u64>,
}

impl InProgress {
    /// Registers the response's body with the watch.
    pub(super) fn answers_with(&mut self, response: Arc<dyn WatchedResponse>) {
        let mut state = self.activity.state();
        let number = state.next;
        state.next += 1;
        state.answers.insert(number, response);
        self.answer = Some(number);
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let forgotten = {
            let mut state = self.activity.state();
            state.facts.in_progress -= 1;
            if state.facts.in_progress == 0 {
                state.facts.quiet_since = Instant::now();
            }
            self.answer.and_then(|number| state.answers.remove(&number))
        };
        // Outside of the lock: dropping a body may take long.
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn facts(now: Instant) -> Facts {
        Facts {
            opened: now,
            head_since: None,
            quiet_since: now,
            in_progress: 0,
            served: false,
            multiplexed: false,
            blocked_since: None,
            given_since: None,
        }
    }

    fn closed_after(facts: &Facts) -> Option<(Duration, Overdue)> {
        let limits = ListenerLimits::default();
        (0..2_000).map(Duration::from_secs).find_map(|after| {
            match verdict(facts, &limits, facts.opened + after) {
                Verdict::Close(why) => Some((after, why)),
                Verdict::LookAgain(at) => {
                    assert!(at > facts.opened + after, "the watch would spin");
                    None
                }
            }
        })
    }

    #[tokio::test]
    async fn each_state_that_waits_for_the_client_has_its_limit() {
        let (now, limits) = (Instant::now(), ListenerLimits::default());
        let new = facts(now);
        let served = Facts { served: true, ..new };
        let two = Facts {
            multiplexed: true,
            ..served
        };
        let busy = Facts {
            in_progress: 1,
            ..served
        };
        let since = Some(now);
        for (facts, expected) in [
            (new, Some((limits.first_byte, Overdue::Silent))),
            (
                Facts {
                    head_since: since,
                    ..new
                },
                Some((limits.head, Overdue::Head)),
            ),
            (
                Facts {
                    head_since: since,
                    ..served
                },
                Some((limits.head, Overdue::Head)),
            ),
            (served, Some((limits.idle, Overdue::Idle))),
            (
                Facts {
                    head_since: since,
                    ..two
                },
                Some((limits.idle, Overdue::Idle)),
            ),
            (busy, None),
            (
                Facts {
                    blocked_since: since,
                    ..busy
                },
                Some((limits.stalled_reader, Overdue::Stalled)),
            ),
            (
                Facts {
                    given_since: since,
                    ..busy
                },
                Some((limits.stalled_reader, Overdue::Stalled)),
            ),
        ] {
            assert_eq!(closed_after(&facts), expected, "{facts:?}");
        }
    }
}
