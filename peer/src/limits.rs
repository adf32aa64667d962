//! Limits the bandwidth: into this peer, out of it to other peers, and from each registry.
//!
//! What a runtime waits for goes before preheats, and those before what is prefetched (see `bucket`: no class
//! waits for ever). Limits may change at any time, also for waiting transfers.
//!
//! **Invariant:** a limit slows transfers down and never ends one. Without limits nothing is locked and nothing
//! waits.
//!
//! Non-goals: the front's responses to the runtimes of its own node are not limited; requests are not counted.

mod bucket;
mod gate;
mod metrics;
mod paced;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use oci::RegistryName;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use process::Running;
use process::metrics::Metrics;
use uuid::Uuid;
use wire::Neighbourhood;

pub use bucket::Class;
pub use paced::Way;
pub use settings::LimitSettings;

use gate::Gate;
use metrics::LimitMetrics;

const INCOMING: &str = "incoming";
const OUTGOING: &str = "outgoing";
const REGISTRY: &str = "origin";

/// The limits of one peer. Clones share them.
#[derive(Clone)]
pub struct Limits(Arc<LimitsInner>);

struct LimitsInner {
    own: LimitSettings,
    incoming: Gate,
    outgoing: Gate,
    /// Registries with a limit, now or earlier.
    registries: RwLock<HashMap<RegistryName, Gate>>,
    /// One change at a time.
    in_force: Mutex<LimitSettings>,
    running: Running,
    metrics: LimitMetrics,
}

impl Limits {
    /// Starts with the limits of the peer's own file.
    pub fn new(own: LimitSettings, running: Running) -> Self {
        let metrics = LimitMetrics::default();
        metrics.begin_at_zero(&[INCOMING, OUTGOING, REGISTRY]);
        let gate = |name| Gate::new(name, running.clone(), metrics.clone());
        let limits = Self(Arc::new(LimitsInner {
            own,
            incoming: gate(INCOMING),
            outgoing: gate(OUTGOING),
            registries: RwLock::default(),
            in_force: Mutex::default(),
            running,
            metrics,
        }));
        limits.apply(&LimitSettings::default());
        limits
    }

    /// No limits until the manager sends some.
    pub fn none(running: Running) -> Self {
        Self::new(LimitSettings::default(), running)
    }

    /// Adds the counters to the metrics of the admin port.
    pub fn register(&self, shown: &Metrics) {
        self.0.metrics.register(shown);
    }

    /// Applies what the manager sent to this peer.
    pub(crate) fn learn(&self, me: Uuid, neighbourhood: &Neighbourhood) {
        self.apply(&LimitSettings::of_peer(me, neighbourhood));
    }

    /// Applies limits from the manager. Of these and the peer's own ones the lower counts.
    pub fn apply(&self, from_manager: &LimitSettings) {
        let now = self.0.own.lower_of(from_manager);
        let mut in_force = self.in_force();
        if in_force.incoming != now.incoming {
            self.0.incoming.set(now.incoming);
        }
        if in_force.outgoing != now.outgoing {
            self.0.outgoing.set(now.outgoing);
        }
        let named = in_force.registries.keys().chain(now.registries.keys());
        for registry in
            named.filter(|registry| in_force.registries.get(registry) != now.registries.get(registry))
        {
            self.gate_of(registry).set(now.registries.get(registry).copied());
        }
        *in_force = now;
    }

    /// The limits that apply now.
    pub fn current(&self) -> LimitSettings {
        self.in_force().clone()
    }

    /// Waits until the limits allow these incoming bytes.
    pub async fn incoming(&self, class: Class, bytes: u64) {
        self.0.incoming.pass(class, bytes).await;
    }

    /// Waits until these bytes may go to another peer.
    pub async fn outgoing(&self, bytes: u64) {
        self.0.outgoing.pass(Class::Interactive, bytes).await;
    }

    /// Waits until the limits allow these bytes from this registry. They count as incoming too.
    pub async fn registry(&self, registry: &RegistryName, class: Class, bytes: u64) {
        let gate = self.registries().get(registry).cloned();
        if let Some(gate) = gate {
            gate.pass(class, bytes).await;
        }
    }

    fn gate_of(&self, registry: &RegistryName) -> Gate {
        let new = || Gate::new(REGISTRY, self.0.running.clone(), self.0.metrics.clone());
        let mut registries = self.0.registries.write();
        registries.entry(registry.clone()).or_insert_with(new).clone()
    }

    fn registries(&self) -> RwLockReadGuard<'_, HashMap<RegistryName, Gate>> {
        self.0.registries.read()
    }

    fn in_force(&self) -> MutexGuard<'_, LimitSettings> {
        self.0.in_force.lock()
    }
}
