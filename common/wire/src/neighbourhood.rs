//! A peer's neighbourhood: the seeds of its cluster, and how to reach each registry. A peer stores it on disk, so that
//! pulls work while the manager is down.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BandwidthLimits, Rate};

/// The seeds and registries that a peer may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbourhood {
    /// A hash over the rest. A peer with this version is sent nothing.
    pub version: String,
    /// Connected seeds of the peer's cluster, the peer itself included if it is one.
    pub seeds: Vec<SeedAddress>,
    /// Registries that are configured or named by a preheat, which a front may dial.
    pub registries: Vec<RegistryDescription>,
    #[serde(default)]
    pub dial: DialDescription,
    #[serde(default)]
    pub limits: BandwidthLimits,
}

/// The dial rules in the manager's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DialDescription {
    /// Special addresses that may be dialled: `127.0.0.0/8`.
    pub addresses: Vec<String>,
    /// Registries that may be dialled without being configured: `*.example.com`.
    pub allow: Vec<String>,
}

/// The address of another peer's `share`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedAddress {
    pub peer: Uuid,
    pub name: String,
    /// Base URL without a trailing slash: `http://10.0.0.7:65002`.
    pub share_url: String,
}

/// How to reach one registry. Never contains a secret.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches of a configuration"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistryDescription {
    /// `host` or `host:port`, normalized: lower case, no default port.
    pub name: String,
    pub plain_http: bool,
    pub insecure_skip_verify: bool,
    /// PEM of additional CAs for the registry's certificate.
    pub ca_pem: Option<String>,
    /// Other names of the same registry.
    pub aliases: Vec<String>,
    /// Other hosts that may issue its tokens.
    pub token_realms: Vec<String>,
    /// URL of an HTTP proxy to it, without user name and password. A proxy with sign-in is configured at the peer.
    pub proxy: Option<String>,
    /// Simultaneous requests of one peer to it.
    pub max_connections: Option<NonZeroU32>,
    /// How long to wait for the headers of one response, in milliseconds.
    pub header_wait_ms: Option<u64>,
    /// Bandwidth limit of one peer from it.
    pub bandwidth: Option<Rate>,
    pub offline_access: OfflineAccess,
    /// How a front checks access to a manifest; by default [`Authorize::ManifestGet`] for a Harbor.
    pub authorize: Option<Authorize>,
    /// Whether it is known to be a Harbor.
    pub harbor: bool,
    /// Whether the manager's configuration names it; otherwise a preheat did.
    pub configured: bool,
}

/// How a front asks a registry whether a caller may read a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorize {
    /// With a GET for each GET, so that the registry's pull rules and counts stay correct.
    ManifestGet,
    /// With a HEAD, and not again while the grant is kept.
    Head,
}

/// Who may read a cached private object while its registry is unreachable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineAccess {
    /// Callers with an earlier grant, up to the configured age.
    #[default]
    KeptYes,
    /// Every caller of a node with a configured credential for the registry.
    NodeCredential,
}
