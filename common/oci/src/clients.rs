//! HTTP clients, one for each [`DialMode`], built on first use.
//!
//! **Invariant:** requests with different allowed destinations or different certificates share no connections.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::settings::{ClientFactory, RegistrySettings, TlsOptions};

const KEPT_CLIENTS: usize = 64;

/// The clients of all registries, keyed by their options.
pub(crate) struct ClientCache {
    factory: Arc<dyn ClientFactory>,
    made: Mutex<HashMap<TlsOptions, reqwest::Client>>,
}

/// The clients of one registry.
pub(crate) struct Clients {
    cache: Arc<ClientCache>,
    tls: TlsOptions,
    /// Bounded by the number of modes.
    made: Mutex<HashMap<DialMode, reqwest::Client>>,
}

/// How one request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DialMode {
    /// Sends our client certificate: to the registry and its token server, never to a redirect target.
    pub(crate) shows_identity: bool,
    /// Refuses private and special addresses ([`crate::Dial::outside_only`]).
    pub(crate) outside_only: bool,
    /// Uses a new connection.
    pub(crate) fresh: bool,
}

impl ClientCache {
    pub(crate) fn new(factory: Arc<dyn ClientFactory>) -> Self {
        Self {
            factory,
            made: Mutex::default(),
        }
    }

    fn get(&self, tls: &TlsOptions) -> Result<reqwest::Client, String> {
        let mut made = self.made.lock();
        if let Some(client) = made.get(tls) {
            return Ok(client.clone());
        }
        let client = self.factory.build(tls);
        let client = client.map_err(|cause| format!("cannot build an HTTP client: {cause}"))?;
        if made.len() >= KEPT_CLIENTS {
            made.clear();
        }
        made.insert(tls.clone(), client.clone());
        Ok(client)
    }
}

impl Clients {
    /// Fails if the settings are unusable, for example a CA file without certificates.
    pub(crate) fn new(cache: Arc<ClientCache>, settings: &RegistrySettings) -> Result<Self, String> {
        let clients = Self {
            cache,
            tls: settings.tls(),
            made: Mutex::default(),
        };
        clients.of(DialMode::to_registry())?;
        Ok(clients)
    }

    pub(crate) fn of(&self, way: DialMode) -> Result<reqwest::Client, String> {
        let mut made = self.made.lock();
        if let Some(client) = made.get(&way) {
            return Ok(client.clone());
        }
        let client = self.cache.get(&way.options(&self.tls))?;
        made.insert(way, client.clone());
        Ok(client)
    }
}

impl DialMode {
    pub(crate) fn to_registry() -> Self {
        Self {
            shows_identity: true,
            outside_only: false,
            fresh: false,
        }
    }

    pub(crate) fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    fn options(self, tls: &TlsOptions) -> TlsOptions {
        TlsOptions {
            client_identity: tls.client_identity.clone().filter(|_| self.shows_identity),
            outside_only: self.outside_only,
            fresh: self.fresh,
            ..tls.clone()
        }
    }
}
