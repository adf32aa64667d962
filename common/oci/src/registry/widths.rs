//! What registries allow at once, for requests that may wait: a preheat's. A container runtime's request takes no part:
//! a refusal is its answer, and another caller's refusals do not delay it.
//!
//! **Invariant:** a place is held until the body of the response is read or dropped. Every wait has the limit of its
//! caller.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::line::{Line, Place};
use super::width::{Moment, Refusal};
use crate::metrics::RegistryMetrics;
use crate::{Digest, RegistryName};

/// Pairs of registry and account. Beyond that, requests are not counted.
const KEPT_LINES: usize = 1_024;

type Waiter = oneshot::Sender<WidthPlace>;

/// What the registries of one program allow. Clones share it.
#[derive(Clone)]
pub(crate) struct Widths(Arc<WidthsInner>);

struct WidthsInner {
    lines: Mutex<HashMap<LineKey, Line<Waiter>>>,
    begun: Instant,
    metrics: RegistryMetrics,
}

/// One account at one registry: another account may have other limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LineKey {
    pub(super) registry: RegistryName,
    pub(super) account: Digest,
}

/// The place of one request, freed on drop.
pub(super) struct WidthPlace {
    widths: Widths,
    key: LineKey,
    /// `None` once it was refused.
    place: Option<Place>,
    served_at: Option<Instant>,
}

/// The wait for a place took too long: the registry allows only so many requests at once.
pub(super) struct NoPlace {
    pub(super) allows: u32,
}

impl Widths {
    pub(crate) fn new(metrics: RegistryMetrics) -> Self {
        Self(Arc::new(WidthsInner {
            lines: Mutex::default(),
            begun: Instant::now(),
            metrics,
        }))
    }

    /// Returns what registries allow at once where refusals showed a limit, by name.
    pub(crate) fn limits(&self) -> Vec<(RegistryName, u32)> {
        let lines = self.0.lines.lock();
        let mut limits: HashMap<&RegistryName, u32> = HashMap::new();
        for (key, line) in lines.iter() {
            if let Some(limit) = line.limit() {
                let known = limits.entry(&key.registry).or_insert(limit);
                *known = limit.min(*known);
            }
        }
        let limits = limits.into_iter().map(|(name, limit)| (name.clone(), limit));
        let mut limits: Vec<_> = limits.collect();
        limits.sort();
        limits
    }

    /// Waits for a place until `deadline`, and not before `not_before`. `Ok(None)`: the request is not counted.
    pub(super) async fn place(
        &self,
        key: &LineKey,
        project: &str,
        not_before: Instant,
        deadline: Instant,
    ) -> Result<Option<WidthPlace>, NoPlace> {
        let (sender, mut admitted) = oneshot::channel();
        if !self.queue(key, project, not_before, sender)? {
            return Ok(None);
        }
        loop {
            let wake = self.admit(key).map_or(deadline, |at| at.min(deadline));
            tokio::select! {
                biased;
                place = &mut admitted => return Ok(place.ok()),
                () = sleep_until(wake) => {}
            }
            if Instant::now() >= deadline {
                admitted.close();
                return match admitted.try_recv() {
                    Ok(place) => Ok(Some(place)),
                    Err(_) => Err(self.no_place(key)),
                };
            }
        }
    }

    fn queue(&self, key: &LineKey, project: &str, not_before: Instant, who: Waiter) -> Result<bool, NoPlace> {
        let (now, not_before) = (self.now(), self.moment(not_before));
        let mut lines = self.0.lines.lock();
        if lines.len() >= KEPT_LINES && !lines.contains_key(key) {
            lines.retain(|_, line| line.tidy(now));
            if lines.len() >= KEPT_LINES {
                return Ok(false);
            }
        }
        let line = lines.entry(key.clone()).or_default();
        if line.wait(now, project, not_before, who) {
            return Ok(true);
        }
        let allows = line.limit().unwrap_or(1);
        Err(NoPlace { allows })
    }

    /// Lets those go that may. Returns when to look again.
    fn admit(&self, key: &LineKey) -> Option<Instant> {
        let now = self.now();
        let (admitted, opens_at) = {
            let mut lines = self.0.lines.lock();
            let line = lines.get_mut(key)?;
            let admitted = line.admit(now, |who| !who.is_closed());
            (admitted, line.opens_at(now))
        };
        for (who, place) in admitted {
            // A request that left the line in this moment gives its place back.
            let _ = who.send(self.held(key, place));
        }
        opens_at.map(|at| self.0.begun + at)
    }

    /// Changes a line, and lets those go that may go then.
    fn change(&self, key: &LineKey, change: impl FnOnce(&mut Line<Waiter>, Moment)) {
        let now = self.now();
        if let Entry::Occupied(mut entry) = self.0.lines.lock().entry(key.clone()) {
            change(entry.get_mut(), now);
            if !entry.get_mut().tidy(now) {
                entry.remove();
            }
        }
        self.admit(key);
        self.show(&key.registry);
    }

    fn show(&self, registry: &RegistryName) {
        let lines = self.0.lines.lock();
        let of_registry = lines.iter().filter(|(key, _)| key.registry == *registry);
        let limit = of_registry.filter_map(|(_, line)| line.limit()).min();
        self.0.metrics.allows(registry.host(), limit);
    }

    fn no_place(&self, key: &LineKey) -> NoPlace {
        let lines = self.0.lines.lock();
        let limit = lines.get(key).and_then(Line::limit);
        NoPlace {
            allows: limit.unwrap_or(1),
        }
    }

    fn held(&self, key: &LineKey, place: Place) -> WidthPlace {
        WidthPlace {
            widths: self.clone(),
            key: key.clone(),
            place: Some(place),
            served_at: None,
        }
    }

    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    fn moment(&self, at: Instant) -> Moment {
        at.saturating_duration_since(self.0.begun)
    }
}

impl WidthPlace {
    /// The registry serves the request.
    pub(super) fn served(&mut self) {
        self.served_at = Some(Instant::now());
        if let Some(place) = &self.place {
            self.widths.change(&self.key, |line, now| line.served(now, place));
        }
    }

    /// Whether no other request of this account is in flight.
    pub(super) fn is_alone(&self) -> bool {
        let lines = self.widths.0.lines.lock();
        lines.get(&self.key).is_none_or(Line::is_alone)
    }

    /// Returns for how long the registry has served nothing to this account; zero while it serves another request.
    pub(super) fn unserved_for(&self) -> Duration {
        let lines = self.widths.0.lines.lock();
        let line = lines.get(&self.key).zip(self.place.as_ref());
        line.map_or(Duration::ZERO, |(line, place)| {
            line.unserved_for(self.widths.now(), place)
        })
    }

    /// The registry refused the request because of the number of requests. Returns what it allows.
    pub(super) fn refused(mut self, retry_after: Option<Duration>) -> u32 {
        if let Some(place) = self.place.take() {
            let chance = chance();
            let refusal = Refusal { retry_after, chance };
            self.widths
                .change(&self.key, |line, now| line.refused(now, &place, refusal));
        }
        self.widths.no_place(&self.key).allows
    }
}

impl Drop for WidthPlace {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let served_for = self.served_at.map(|at| at.elapsed());
        self.widths
            .change(&self.key, |line, now| line.ended(now, &place, served_for));
    }
}

/// A random number. Not for secrets.
fn chance() -> u32 {
    let random = RandomState::new().hash_one(0_u8);
    u32::try_from(random >> 32).unwrap_or_default()
}
