//! All known registries, each under one name, with shared HTTP clients.
//!
//! Non-goal: whether a registry may be dialled. Callers decide that with [`Registries::knows`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::clients::{ClientCache, Clients};
use crate::dial::Dial;
use crate::harbors::Harbors;
use crate::metrics::RegistryMetrics;
use crate::registry::{ConnectionSlots, RegistryParts, Widths};
use crate::settings::{ClientFactory, RegistryLimits, RegistrySettings};
use crate::{Credential, Location, Origin, Registry, RegistryError, RegistryName, Scheme};

/// Registries that keep their tokens and connections; others are rebuilt on use.
const KEPT_REGISTRIES: usize = 256;

/// Settings and one client per registry. Clones share them.
#[derive(Clone)]
pub struct Registries {
    inner: Arc<RegistriesInner>,
}

struct RegistriesInner {
    clients: Arc<ClientCache>,
    limits: RegistryLimits,
    metrics: RegistryMetrics,
    dial: Dial,
    harbors: Harbors,
    known: RwLock<Configured>,
    /// Bounded by the number of configured registries.
    slots: Mutex<HashMap<RegistryName, ConnectionSlots>>,
    widths: Widths,
}

/// The current configuration and the registries built from it; replaced together.
#[derive(Default)]
struct Configured {
    settings: HashMap<RegistryName, Arc<RegistrySettings>>,
    aliases: HashMap<RegistryName, RegistryName>,
    made: Mutex<HashMap<Origin, Registry>>,
}

impl Registries {
    /// Dials every address. Programs that dial what others name use [`Self::behind`].
    pub fn new(factory: Arc<dyn ClientFactory>) -> Self {
        Self::with_limits(factory, RegistryLimits::default())
    }

    pub fn with_limits(factory: Arc<dyn ClientFactory>, limits: RegistryLimits) -> Self {
        Self::with(factory, limits, RegistryMetrics::default(), Dial::open())
    }

    /// Shares its metrics with other parts of the program.
    pub fn counted_in(metrics: RegistryMetrics, factory: Arc<dyn ClientFactory>) -> Self {
        Self::with(factory, RegistryLimits::default(), metrics, Dial::open())
    }

    /// Follows a dial rule. `factory` must build clients that resolve names with [`Dial::for_client`] of the same rule.
    pub fn behind(dial: Dial, metrics: RegistryMetrics, factory: Arc<dyn ClientFactory>) -> Self {
        Self::with(factory, RegistryLimits::default(), metrics, dial)
    }

    fn with(
        factory: Arc<dyn ClientFactory>,
        limits: RegistryLimits,
        metrics: RegistryMetrics,
        dial: Dial,
    ) -> Self {
        let inner = RegistriesInner {
            clients: Arc::new(ClientCache::new(factory)),
            limits,
            widths: Widths::new(metrics.clone()),
            metrics,
            dial,
            harbors: Harbors::default(),
            known: RwLock::default(),
            slots: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns the metrics of all registries.
    pub fn metrics(&self) -> &RegistryMetrics {
        &self.inner.metrics
    }

    /// Returns how many requests registries allow at once, for those that refuse more.
    pub fn widths(&self) -> Vec<(RegistryName, u32)> {
        self.inner.widths.limits()
    }

    /// Returns the dial rule.
    pub fn dial(&self) -> &Dial {
        &self.inner.dial
    }

    /// Replaces the configuration. Registries whose settings did not change keep their tokens.
    pub fn configure(&self, settings: Vec<RegistrySettings>) {
        let mut known = Configured::default();
        for mut one in settings {
            one.name = one.name.for_scheme(one.plain_http);
            for alias in &one.aliases {
                known
                    .aliases
                    .insert(alias.for_scheme(one.plain_http), one.name.clone());
            }
            known.settings.insert(one.name.clone(), Arc::new(one));
        }
        let mut current = self.inner.known.write();
        known.take_over(&mut current);
        *current = known;
    }

    /// Whether it was recognized as a Harbor since this program started.
    pub fn is_harbor(&self, name: &RegistryName) -> bool {
        self.inner.harbors.has(self.known().canonical(name))
    }

    /// Whether it is configured, under this name or an alias.
    pub fn knows(&self, name: &RegistryName) -> bool {
        let known = self.known();
        known.settings.contains_key(known.canonical(name))
    }

    /// Returns the main name of a registry.
    pub fn canonical(&self, name: &RegistryName) -> RegistryName {
        self.known().canonical(name).clone()
    }

    pub fn settings(&self, name: &RegistryName) -> Option<RegistrySettings> {
        let known = self.known();
        known
            .settings
            .get(known.canonical(name))
            .map(|settings| RegistrySettings::clone(settings))
    }

    /// Returns how long to wait for the headers of a response of this registry.
    pub fn header_wait(&self, name: &RegistryName) -> Duration {
        let known = self.known();
        let settings = known.settings.get(known.canonical(name));
        let configured = settings.and_then(|settings| settings.header_wait);
        configured.unwrap_or(self.inner.limits.header_wait)
    }

    /// Returns the origin under the registry's main name, with plain HTTP if the registry is configured so.
    pub fn canonical_origin(&self, origin: &Origin) -> Origin {
        self.known().canonical_origin(origin)
    }

    /// Returns the configured credential of a registry, unless the location says `http://` and the registry is
    /// configured with TLS: a request must not make us send a password in clear text.
    pub fn configured_credential(&self, location: &Location) -> Option<Credential> {
        let settings = self.settings(location.registry())?;
        let is_downgraded = location.origin.scheme.is_plain() && !settings.plain_http;
        (!is_downgraded && !settings.credential.is_anonymous()).then_some(settings.credential)
    }

    /// Returns the registry at an origin. An unconfigured registry is reached as the origin says.
    pub fn registry(&self, origin: &Origin) -> Result<Registry, RegistryError> {
        let known = self.known();
        let origin = known.canonical_origin(origin);
        let mut made = known.made.lock();
        if let Some(registry) = made.get(&origin) {
            return Ok(registry.clone());
        }
        let mut settings = known.settings.get(&origin.registry).map_or_else(
            || RegistrySettings::new(origin.registry.clone()),
            |settings| RegistrySettings::clone(settings),
        );
        settings.plain_http = origin.scheme.is_plain();
        let clients = Clients::new(Arc::clone(&self.inner.clients), &settings);
        let clients = clients.map_err(|cause| RegistryError::Setup {
            registry: origin.registry.clone(),
            cause,
        })?;
        let parts = RegistryParts {
            dial: self.inner.dial.clone(),
            harbors: self.inner.harbors.clone(),
            limits: self.inner.limits,
            slots: self.slots(&settings),
            widths: self.inner.widths.clone(),
            metrics: self.inner.metrics.clone(),
        };
        let registry = Registry::new(settings, origin.base_path.as_str(), clients, parts)?;
        if made.len() >= KEPT_REGISTRIES {
            made.clear();
        }
        made.insert(origin, registry.clone());
        Ok(registry)
    }

    fn known(&self) -> RwLockReadGuard<'_, Configured> {
        self.inner.known.read()
    }

    /// Returns the same slots for all base paths of one registry, also after a change of its settings.
    fn slots(&self, settings: &RegistrySettings) -> ConnectionSlots {
        let Some(limit) = settings.max_connections else {
            return ConnectionSlots::default();
        };
        let mut all = self.inner.slots.lock();
        let kept = all
            .get(&settings.name)
            .filter(|slots| slots.limit() == Some(limit));
        let slots = kept.cloned().unwrap_or_else(|| ConnectionSlots::of(Some(limit)));
        all.insert(settings.name.clone(), slots.clone());
        slots
    }
}

impl Configured {
    fn take_over(&mut self, old: &mut Self) {
        let mut made = std::mem::take(old.made.get_mut());
        made.retain(|origin, _| self.settings.get(&origin.registry) == old.settings.get(&origin.registry));
        *self.made.get_mut() = made;
    }

    fn canonical_origin(&self, origin: &Origin) -> Origin {
        let registry = self.canonical(&origin.registry);
        let is_plain = self
            .settings
            .get(registry)
            .is_some_and(|settings| settings.plain_http);
        let scheme = if is_plain { Scheme::Http } else { origin.scheme };
        Origin {
            scheme,
            registry: registry.for_scheme(scheme.is_plain()),
            base_path: origin.base_path.clone(),
        }
    }

    fn canonical<'name>(&'name self, name: &'name RegistryName) -> &'name RegistryName {
        self.aliases.get(name).unwrap_or(name)
    }
}
