//! How one registry is reached, and how the client for it is made.

use std::time::Duration;

use serde::Deserialize;

use crate::{Credential, RegistryName};

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
        }
    }

    pub(crate) fn tls(&self) -> TlsOptions {
        TlsOptions {
            ca_pem: self.ca_pem.clone(),
            insecure_skip_verify: self.insecure_skip_verify,
        }
    }
}

/// What makes one HTTP client differ from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    pub ca_pem: Option<String>,
    pub insecure_skip_verify: bool,
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
pub struct Limits {
    /// Until the headers of one answer are there, connecting included.
    pub header_wait: Duration,
    /// Between two pieces of a body.
    pub chunk_wait: Duration,
    /// Until a manifest or a token is there as a whole.
    pub document_wait: Duration,
    pub manifest_bytes: usize,
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_wait: Duration::from_secs(30),
            chunk_wait: Duration::from_secs(30),
            document_wait: Duration::from_secs(60),
            manifest_bytes: crate::manifest::BYTES_LIMIT,
            redirects: 5,
        }
    }
}
