//! Which hosts are unreachable. All waiting requests share one probe of a host.
//!
//! **Invariant:** a host is unreachable only after a probe of the host itself got no headers or a 5xx, never because one
//! request failed. Any status below 500, to any request, ends that. A host is probed at most once in [`PROBED_FOR`].

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use oci::Probe;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

/// Until the headers of a probe's response.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(5);
const PROBED_FOR: Duration = Duration::from_secs(5);
const HOSTS_KEPT: usize = 1_000;

/// The reach of hosts, by scheme, host and port.
pub(super) struct Reach {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    now: Box<dyn Fn() -> Instant + Send + Sync>,
}

#[derive(Default)]
struct Host {
    known: Mutex<HostReach>,
    /// Held while a probe runs.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct HostReach {
    is_unreachable: bool,
    probed_at: Option<Instant>,
    answered_at: Option<Instant>,
}

/// Why a host's reach is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReachCause {
    /// A question is about to be sent.
    BeforeAsking,
    /// A question got no headers or a 5xx.
    Trouble,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReachVerdict {
    Reachable,
    Unreachable,
    Probe,
}

impl Reach {
    pub(super) fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self {
            hosts: Mutex::default(),
            now: Box::new(now),
        }
    }

    /// Returns whether a host that was unreachable still is. Probes no other host.
    pub(super) async fn is_still_unreachable(&self, host: &str, probe: impl Future<Output = Probe>) -> bool {
        self.find_out(host, ReachCause::BeforeAsking, probe).await
    }

    /// Returns whether the host is unreachable, after a question got no headers or a 5xx.
    pub(super) async fn is_unreachable(&self, host: &str, probe: impl Future<Output = Probe>) -> bool {
        self.find_out(host, ReachCause::Trouble, probe).await
    }

    /// Returns the answer, or none if the host is found unreachable while the answer is late.
    pub(super) async fn unless_unreachable<T>(
        &self,
        host: &str,
        patience: Duration,
        asking: impl Future<Output = T>,
        probe: impl Future<Output = Probe>,
    ) -> Option<T> {
        tokio::pin!(asking);
        if let Ok(answer) = timeout(patience, &mut asking).await {
            return Some(answer);
        }
        tokio::select! {
            biased;
            answer = &mut asking => Some(answer),
            true = self.is_unreachable(host, probe) => None,
        }
    }

    /// Records that the host sent a status below 500.
    pub(super) fn answered(&self, host: &str) {
        // Hosts that never failed are not kept.
        let Some(host) = self.hosts().get(host).cloned() else {
            return;
        };
        let mut known = host.known();
        known.is_unreachable = false;
        known.answered_at = Some((self.now)());
    }

    async fn find_out(&self, host: &str, cause: ReachCause, probe: impl Future<Output = Probe>) -> bool {
        let host = match cause {
            ReachCause::BeforeAsking => self.hosts().get(host).cloned(),
            ReachCause::Trouble => Some(self.host(host)),
        };
        let Some(host) = host else { return false };
        let verdict = verdict(*host.known(), cause, (self.now)());
        if verdict != ReachVerdict::Probe {
            return verdict == ReachVerdict::Unreachable;
        }
        let _turn = host.turn.lock().await;
        // Another request may have probed meanwhile.
        let verdict = self::verdict(*host.known(), cause, (self.now)());
        if verdict != ReachVerdict::Probe {
            return verdict == ReachVerdict::Unreachable;
        }
        let began = (self.now)();
        let found = probe.await;
        let mut known = host.known();
        *known = after_probe(*known, found, began, (self.now)());
        known.is_unreachable
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts();
        if hosts.len() >= HOSTS_KEPT && !hosts.contains_key(name) {
            hosts.retain(|_, host| host.known().is_unreachable);
        }
        if hosts.len() >= HOSTS_KEPT && !hosts.contains_key(name) {
            hosts.clear();
        }
        hosts.entry(name.to_owned()).or_default().clone()
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Arc<Host>>> {
        self.hosts.lock()
    }
}

impl Host {
    fn known(&self) -> MutexGuard<'_, HostReach> {
        self.known.lock()
    }
}

fn verdict(known: HostReach, cause: ReachCause, now: Instant) -> ReachVerdict {
    let is_fresh = known
        .probed_at
        .is_some_and(|at| now.saturating_duration_since(at) < PROBED_FOR);
    match (known.is_unreachable, is_fresh, cause) {
        (true, true, _) => ReachVerdict::Unreachable,
        (true, false, _) | (false, false, ReachCause::Trouble) => ReachVerdict::Probe,
        (false, true, _) | (false, false, ReachCause::BeforeAsking) => ReachVerdict::Reachable,
    }
}

/// Returns the host's reach after a probe that began at `began`.
fn after_probe(known: HostReach, found: Probe, began: Instant, now: Instant) -> HostReach {
    let answered_meanwhile = known.answered_at.is_some_and(|at| at >= began);
    HostReach {
        is_unreachable: finds_unreachable(found) && !answered_meanwhile,
        probed_at: Some(now),
        ..known
    }
}

fn finds_unreachable(probe: Probe) -> bool {
    match probe {
        Probe::Answered(status) => status.is_server_error(),
        Probe::Nothing => true,
        // The failure is ours, not the host's.
        Probe::NotAsked => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    const HOST: &str = "https://reg.lan";

    /// A clock that only the test advances.
    #[derive(Clone, Default)]
    struct Clock(Arc<AtomicUsize>);

    impl Clock {
        fn advance(&self, by: Duration) {
            let by = usize::try_from(by.as_millis()).expect("fits");
            self.0.fetch_add(by, Ordering::SeqCst);
        }
    }

    fn reach() -> (Reach, Clock) {
        let (began, clock) = (Instant::now(), Clock::default());
        let set = clock.clone();
        let now = move || began + Duration::from_millis(set.0.load(Ordering::SeqCst) as u64);
        (Reach::new(now), clock)
    }

    fn probe() -> impl Strategy<Value = Probe> {
        prop_oneof![
            (100_u16..600)
                .prop_map(|status| Probe::Answered(StatusCode::from_u16(status).expect("a status"))),
            Just(Probe::Nothing),
            Just(Probe::NotAsked)
        ]
    }

    proptest! {
        #[test]
        fn only_a_probe_without_headers_or_with_a_5xx_makes_a_host_unreachable(found in probe()) {
            let now = Instant::now();
            let known = after_probe(HostReach::default(), found, now, now);
            let expected = match found {
                Probe::Answered(status) => status.as_u16() >= 500,
                Probe::Nothing => true,
                Probe::NotAsked => false,
            };
            prop_assert_eq!(known.is_unreachable, expected);
        }

        #[test]
        fn a_host_is_not_probed_twice_within_the_window(found in probe(), later in 0_u64..5_000, trouble: bool) {
            let now = Instant::now();
            let known = after_probe(HostReach::default(), found, now, now);
            let cause = if trouble { ReachCause::Trouble } else { ReachCause::BeforeAsking };
            let later = now + Duration::from_millis(later);
            prop_assert_ne!(verdict(known, cause, later), ReachVerdict::Probe);
        }

        #[test]
        fn a_reachable_host_is_asked_without_a_probe(found in probe(), later in 0_u64..60_000) {
            let now = Instant::now();
            let known = after_probe(HostReach::default(), found, now, now);
            let verdict = verdict(known, ReachCause::BeforeAsking, now + Duration::from_millis(later));
            prop_assert_eq!(verdict == ReachVerdict::Reachable, !known.is_unreachable);
        }
    }

    #[tokio::test]
    async fn a_host_that_was_unreachable_is_probed_again_before_it_is_asked() {
        let (reach, clock) = reach();
        assert!(!reach.is_still_unreachable(HOST, async { Probe::Nothing }).await);
        assert!(reach.is_unreachable(HOST, async { Probe::Nothing }).await);
        let back = async { Probe::Answered(StatusCode::UNAUTHORIZED) };
        assert!(reach.is_still_unreachable(HOST, back).await, "within the window");
        clock.advance(PROBED_FOR);
        let back = async { Probe::Answered(StatusCode::UNAUTHORIZED) };
        assert!(!reach.is_still_unreachable(HOST, back).await);
    }

    #[tokio::test]
    async fn any_answer_makes_a_host_reachable_even_during_a_probe() {
        let (reach, clock) = reach();
        assert!(reach.is_unreachable(HOST, async { Probe::Nothing }).await);
        reach.answered(HOST);
        assert!(!reach.is_still_unreachable(HOST, async { Probe::Nothing }).await);
        clock.advance(PROBED_FOR);
        let probe = async {
            reach.answered(HOST);
            Probe::Nothing
        };
        assert!(!reach.is_unreachable(HOST, probe).await);
    }

    #[tokio::test]
    async fn a_slow_answer_of_a_reachable_host_is_awaited() {
        let ((reach, clock), patience) = (reach(), Duration::from_millis(1));
        let probed = tokio::sync::Notify::new();
        let slow = async {
            probed.notified().await;
            7
        };
        let answers = async {
            probed.notify_one();
            Probe::Answered(StatusCode::NOT_FOUND)
        };
        assert_eq!(
            reach.unless_unreachable(HOST, patience, slow, answers).await,
            Some(7)
        );
        clock.advance(PROBED_FOR);
        let never = std::future::pending::<()>();
        let nothing = async { Probe::Nothing };
        assert_eq!(
            reach.unless_unreachable(HOST, patience, never, nothing).await,
            None
        );
    }

    #[tokio::test]
    async fn all_waiting_requests_share_one_probe() {
        let (reach, _) = reach();
        let probes = AtomicUsize::new(0);
        let ask = || async {
            let probe = async {
                probes.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Probe::Nothing
            };
            reach.is_unreachable(HOST, probe).await
        };
        let found = futures_util::future::join_all((0..20).map(|_| ask())).await;
        assert!(found.into_iter().all(|unreachable| unreachable));
        assert_eq!(probes.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_memory_has_a_bound() {
        let (reach, _) = reach();
        for number in 0..=HOSTS_KEPT {
            reach
                .is_unreachable(&number.to_string(), async { Probe::Nothing })
                .await;
        }
        assert!(reach.hosts().len() <= HOSTS_KEPT);
    }
}
