//! What happens on one connection, and whether that is enough for it to stay open.
//!
//! **Invariant:** a connection on which the client does nothing is closed: [`verdict`] names a limit for each state that
//! waits for the client, and none for what waits for us (long polls, event streams, slow registries).

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
            Self::Head => "the client did not finish the head of its request",
            Self::Idle => "no request for a while",
            Self::Stalled => "the client takes nothing of the response",
        })
    }
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
struct Facts {
    opened: Instant,
    /// The first byte that came since the last request, or since the connection was opened.
    head_since: Option<Instant>,
    /// Since when no request is in progress.
    quiet_since: Instant,
    /// Requests whose response is not complete.
    in_progress: usize,
    /// There was a request.
    served: bool,
    /// HTTP/2: bytes between requests are no beginning of a head.
    multiplexed: bool,
    /// The first write that could not be done since the last one that could.
    blocked_since: Option<Instant>,
    /// The longest time for which a part of a response waits for the client to make room for the next.
    given_since: Option<Instant>,
}

enum Verdict {
    Close(Overdue),
    LookAgain(Instant),
}

/// Whether the connection is closed now, or when to look again.
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

/// The deadline of a connection without a request.
fn quiet(facts: &Facts, limits: &ListenerLimits) -> (Instant, Overdue) {
    match facts.head_since {
        Some(since) if !(facts.served && facts.multiplexed) => (since + limits.head, Overdue::Head),
        None if !facts.served => (facts.opened + limits.first_byte, Overdue::Silent),
        _ => (facts.quiet_since + limits.idle, Overdue::Idle),
    }
}

struct State {
    facts: Facts,
    /// Responses on their way.
    answers: HashMap<u64, Arc<dyn WatchedResponse>>,
    next: u64,
}

/// Shared by the connection's socket, its requests and who watches it.
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

    /// A request's head has come.
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

    /// Ends when the client has done nothing for too long.
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
            // The other requests of this connection may be well: only the one that stalls loses its response.
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

/// A request that is being answered; it ends when this is dropped.
pub(super) struct InProgress {
    activity: Arc<ConnectionActivity>,
    answer: Option<u64>,
}

impl InProgress {
    /// The response's body, for the watch to see.
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
        // Outside of the lock: a body that goes may do much.
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
