//! HTTP clients, one for each way in which a request may go out, and made when it is first needed.
//!
//! **Invariant:** requests that may go to different places, or with different certificates, share no connections.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::settings::{ClientFactory, RegistrySettings, TlsOptions};

const KEPT_CLIENTS: usize = 64;

/// The clients of all registries, by their options.
pub(crate) struct ClientCache {
    factory: Arc<dyn ClientFactory>,
    made: Mutex<HashMap<TlsOptions, reqwest::Client>>,
}

/// The clients of one registry.
pub(crate) struct Clients {
    cache: Arc<ClientCache>,
    tls: TlsOptions,
    /// No more than there are ways.
    made: Mutex<HashMap<DialMode, reqwest::Client>>,
}

/// How one request goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DialMode {
    /// To the registry or its token server, which may see our client certificate; not to where it redirects to.
    pub(crate) shows_identity: bool,
    /// Not to addresses inside ([`crate::Dial::outside_only`]).
    pub(crate) outside_only: bool,
    /// Over a connection that is made for it.
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
        let client = client.map_err(|cause| format!("no client can be made for it: {cause}"))?;
        if made.len() >= KEPT_CLIENTS {
            made.clear();
        }
        made.insert(tls.clone(), client.clone());
        Ok(client)
    }
}

impl Clients {
    /// Fails if the settings cannot be used, such as a CA file that is none.
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
