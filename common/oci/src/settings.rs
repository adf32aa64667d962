//! How one registry is reached, and how the client for it is made.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::{Credential, Proxy, RegistryName, Secret};

/// What the configuration says about one registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RegistrySettings {
    pub name: RegistryName,
    #[serde(default)]
    pub plain_http: bool,
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// PEM of the authorities that its certificate is checked against, beside the system's.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Never read from text together with the rest: whoever has it puts it here.
    #[serde(skip)]
    pub credential: Credential,
    /// Other names of the same registry.
    #[serde(default)]
    pub aliases: Vec<RegistryName>,
    /// Hosts, beside the registry's own domain, that may hand out its tokens: `auth.example.net`.
    #[serde(default)]
    pub token_realms: Vec<String>,
    /// PEM of a certificate and its private key: what we show to a registry that asks for one.
    #[serde(skip)]
    pub client_identity: Option<Secret>,
    /// On the way to it.
    #[serde(skip)]
    pub proxy: Option<Proxy>,
    /// Requests on their way at one time, their bodies included; the rest waits for a turn.
    #[serde(default)]
    pub max_connections: Option<NonZeroU32>,
}

impl RegistrySettings {
    /// HTTPS with the system's authorities, no credential.
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
        }
    }

    /// What the client for it has to be like.
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

/// What makes one HTTP client differ from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    pub ca_pem: Option<String>,
    pub insecure_skip_verify: bool,
    /// PEM of a certificate and its private key.
    pub client_identity: Option<Secret>,
    pub proxy: Option<Proxy>,
    /// Keeps no connection open for a later request.
    pub fresh: bool,
    /// Goes to no address inside: names are resolved by [`crate::Dial::for_client`].
    pub outside_only: bool,
}

/// Makes HTTP clients. They must not follow redirects and must not use a proxy from the environment.
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

/// A client could not be made: nearly always a CA file that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

impl BuildError {
    pub fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// How long and how much we take from a registry before we call it a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Until the headers of one answer are there, connecting included.
    pub header_wait: Duration,
    /// Between two pieces of a body.
    pub chunk_wait: Duration,
    /// Until a manifest or a token is there as a whole.
    pub document_wait: Duration,
    /// Until it is this request's turn, where `max_connections` is set.
    pub connection_wait: Duration,
    /// The most that one call waits because the registry says `Retry-After`, all its waits together.
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
