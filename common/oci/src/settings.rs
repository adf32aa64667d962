//! Settings of one registry, and options of the HTTP client for it.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::{Credential, Proxy, RegistryName, Secret};

/// The configuration of one registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RegistrySettings {
    pub name: RegistryName,
    #[serde(default)]
    pub plain_http: bool,
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// PEM of additional CAs for its certificate.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Never deserialized: set by the code that reads credentials.
    #[serde(skip)]
    pub credential: Credential,
    /// Other names of the same registry.
    #[serde(default)]
    pub aliases: Vec<RegistryName>,
    /// Hosts outside the registry's own domain that may issue its tokens: `auth.example.net`.
    #[serde(default)]
    pub token_realms: Vec<String>,
    /// PEM of the client certificate and its private key, for registries that require one.
    #[serde(skip)]
    pub client_identity: Option<Secret>,
    /// The HTTP proxy on the way to it.
    #[serde(skip)]
    pub proxy: Option<Proxy>,
    /// Simultaneous requests, their bodies included; others wait for a slot.
    #[serde(default)]
    pub max_connections: Option<NonZeroU32>,
    /// How long to wait for the headers of one response, if not the usual time.
    #[serde(default)]
    pub header_wait: Option<Duration>,
}

impl RegistrySettings {
    /// HTTPS with the system's CAs and no credential.
    pub fn new(name: RegistryName) -> Self {
        Self {
            name,
            plain_http: false,
            insecure_skip_verify: false,
            ca_pem: None,
            credential: Credential::Anonymous,
            aliases: Vec::new(),
            token_realms: Vec::new(),
            client_identity: None,
            proxy: None,
            max_connections: None,
            header_wait: None,
        }
    }

    /// Returns the options of the HTTP client.
    pub fn tls(&self) -> TlsOptions {
        TlsOptions {
            ca_pem: self.ca_pem.clone(),
            insecure_skip_verify: self.insecure_skip_verify,
            client_identity: self.client_identity.clone(),
            proxy: self.proxy.clone(),
            fresh: false,
            outside_only: false,
        }
    }
}

/// The options of an HTTP client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    pub ca_pem: Option<String>,
    pub insecure_skip_verify: bool,
    /// PEM of the client certificate and its private key.
    pub client_identity: Option<Secret>,
    pub proxy: Option<Proxy>,
    /// Keeps no connection open for a later request.
    pub fresh: bool,
    /// Dials public addresses only: names are resolved by [`crate::Dial::for_client`].
    pub outside_only: bool,
}

/// Builds HTTP clients. They must not follow redirects or use a proxy from the environment.
pub trait ClientFactory: Send + Sync {
    fn build(&self, tls: &TlsOptions) -> Result<reqwest::Client, BuildError>;
}

impl<F> ClientFactory for F
where
    F: Fn(&TlsOptions) -> Result<reqwest::Client, BuildError> + Send + Sync,
{
    fn build(&self, tls: &TlsOptions) -> Result<reqwest::Client, BuildError> {
        self(tls)
    }
}

/// A client could not be built, nearly always because of an invalid CA file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

impl BuildError {
    pub fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Time and size limits for requests to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryLimits {
    /// For the headers of one response, connecting included.
    pub header_wait: Duration,
    /// Between two chunks of a body.
    pub chunk_wait: Duration,
    /// For a whole manifest or token.
    pub document_wait: Duration,
    /// For a connection slot, if `max_connections` is set.
    pub connection_wait: Duration,
    /// For all `Retry-After` waits of one call together.
    pub retry_wait: Duration,
    pub manifest_bytes: usize,
    pub redirects: usize,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            header_wait: Duration::from_secs(30),
            chunk_wait: Duration::from_secs(30),
            document_wait: Duration::from_secs(60),
            connection_wait: Duration::from_secs(20),
            retry_wait: Duration::from_secs(20),
            manifest_bytes: crate::bad_manifest::BYTES_LIMIT,
            redirects: 5,
        }
    }
}
