//! Bytes per second: into this peer, out of it to other peers, and from each registry.
//!
//! What a runtime waits for goes before preheats, and those before what nobody asked for yet (`bucket` says how nobody
//! waits for ever). Limits may change at any time; what waits goes on under the new ones.
//!
//! **Invariant:** a limit slows transfers down and never ends one. Without limits nothing is locked and nobody waits.
//!
//! Non-goals: what the front gives to the runtimes of its own node is not limited; requests are not counted.

mod bucket;
mod counted;
mod gate;
mod paced;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use oci::RegistryName;
use process::Running;
use process::metrics::Metrics;
use uuid::Uuid;
use wire::Neighbourhood;

pub use bucket::Class;
pub use paced::Way;
pub use settings::LimitSettings;

use counted::Counted;
use gate::Gate;

const INCOMING: &str = "incoming";
const OUTGOING: &str = "outgoing";
const ORIGIN: &str = "origin";

/// The limits of one peer. Clones share them.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    own: LimitSettings,
    incoming: Gate,
    outgoing: Gate,
    /// Those that have, or had, a limit.
    origins: RwLock<HashMap<RegistryName, Gate>>,
    /// One change at a time.
    in_force: Mutex<LimitSettings>,
    running: Running,
    counted: Counted,
}

impl Limits {
    /// With what the peer's own file says.
    pub fn new(own: LimitSettings, running: Running) -> Self {
        let counted = Counted::default();
        counted.begin_at_zero(&[INCOMING, OUTGOING, ORIGIN]);
        let gate = |name| Gate::new(name, running.clone(), counted.clone());
        let limits = Self(Arc::new(Inner {
            own,
            incoming: gate(INCOMING),
            outgoing: gate(OUTGOING),
            origins: RwLock::default(),
            in_force: Mutex::default(),
            running,
            counted,
        }));
        limits.told(&LimitSettings::default());
        limits
    }

    /// No limits, until the manager tells of some.
    pub fn none(running: Running) -> Self {
        Self::new(LimitSettings::default(), running)
    }

    /// Adds what waits to what the admin port shows.
    pub fn register(&self, metrics: &Metrics) {
        self.0.counted.register(metrics);
    }

    /// What the manager says to this peer holds from now on.
    pub(crate) fn learn(&self, me: Uuid, told: &Neighbourhood) {
        self.told(&LimitSettings::told(me, told));
    }

    /// What the manager says holds from now on, beside what the peer's own file says.
    pub fn told(&self, told: &LimitSettings) {
        let now = self.0.own.and(told);
        let mut in_force = self.in_force();
        if in_force.incoming != now.incoming {
            self.0.incoming.set(now.incoming);
        }
        if in_force.outgoing != now.outgoing {
            self.0.outgoing.set(now.outgoing);
        }
        let named = in_force.origins.keys().chain(now.origins.keys());
        for registry in named.filter(|registry| in_force.origins.get(registry) != now.origins.get(registry)) {
            self.gate_of(registry).set(now.origins.get(registry).copied());
        }
        *in_force = now;
    }

    /// What holds at this moment.
    pub fn in_force_now(&self) -> LimitSettings {
        self.in_force().clone()
    }

    /// Returns when these bytes may come in.
    pub async fn incoming(&self, class: Class, bytes: u64) {
        self.0.incoming.pass(class, bytes).await;
    }

    /// Returns when these bytes may go to another peer.
    pub async fn outgoing(&self, bytes: u64) {
        self.0.outgoing.pass(Class::Interactive, bytes).await;
    }

    /// Returns when these bytes may come from this registry. They come in, too.
    pub async fn origin(&self, registry: &RegistryName, class: Class, bytes: u64) {
        let gate = self.origins().get(registry).cloned();
        if let Some(gate) = gate {
            gate.pass(class, bytes).await;
        }
    }

    fn gate_of(&self, registry: &RegistryName) -> Gate {
        let new = || Gate::new(ORIGIN, self.0.running.clone(), self.0.counted.clone());
        let mut origins = self.0.origins.write().unwrap_or_else(PoisonError::into_inner);
        origins.entry(registry.clone()).or_insert_with(new).clone()
    }

    fn origins(&self) -> std::sync::RwLockReadGuard<'_, HashMap<RegistryName, Gate>> {
        self.0.origins.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_force(&self) -> MutexGuard<'_, LimitSettings> {
        self.0.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
