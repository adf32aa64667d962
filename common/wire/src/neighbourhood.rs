//! What a peer knows of its surroundings: the seeds of its cluster and how each registry is reached.
//! It keeps this on its disk, so that pulls flow while the manager is away.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BandwidthLimits, Rate};

/// The manager's answer to "who is around me and how are registries reached".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbourhood {
    /// A hash over the rest: a peer that names this version is told nothing new.
    pub version: String,
    /// Seeds of the peer's own cluster that have a live session, the peer itself included if it is one.
    pub seeds: Vec<SeedAddress>,
    /// The registries that are configured or were named by a preheat: what a front may dial.
    pub registries: Vec<RegistryDescription>,
    #[serde(default)]
    pub dial: DialDescription,
    #[serde(default)]
    pub limits: BandwidthLimits,
}

/// What the manager's configuration says about dialling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DialDescription {
    /// Addresses of a machine, its link and its cloud that are dialled all the same: `127.0.0.0/8`.
    pub addresses: Vec<String>,
    /// Registries that are dialled though nobody described them: `*.example.com`.
    pub allow: Vec<String>,
}

/// Where another peer's `share` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedAddress {
    pub peer: Uuid,
    pub name: String,
    /// Base URL, without a slash at its end: `http://10.0.0.7:65002`.
    pub share_url: String,
}

/// How one registry is reached. Never holds a secret.
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of a configuration, each with a name of its own"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistryDescription {
    /// `host` or `host:port`, made equal: lower case, default port dropped.
    pub name: String,
    pub plain_http: bool,
    pub insecure_skip_verify: bool,
    /// PEM of the authorities that this registry's certificate is checked against, beside the system's.
    pub ca_pem: Option<String>,
    /// Other names of the same registry.
    pub aliases: Vec<String>,
    /// Hosts beside the registry's own that may hand out its tokens.
    pub token_realms: Vec<String>,
    /// URL of an HTTP proxy on the way to it, without user name and password: a proxy that asks for them stands in the
    /// peer's own file.
    pub proxy: Option<String>,
    /// Requests of one peer to it at one time.
    pub max_connections: Option<NonZeroU32>,
    /// The most that one peer takes from it.
    pub bandwidth: Option<Rate>,
    pub offline_access: OfflineAccess,
    /// How a front asks whether a caller may have a manifest; unless given, [`Authorize::ManifestGet`] of a Harbor.
    pub authorize: Option<Authorize>,
    /// It has shown itself to be a Harbor.
    pub harbor: bool,
    /// Somebody wrote it into the manager's configuration; else a preheat named it.
    pub configured: bool,
}

/// How a front asks a registry whether a caller may have a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorize {
    /// By a GET for each GET, so that the registry's own rules and counts about pulls stay true.
    ManifestGet,
    /// By a HEAD, and not again while its yes is kept.
    Head,
}

/// Who may read a cached private object while its registry is silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineAccess {
    /// Whoever the registry said yes to before, up to the configured age.
    #[default]
    KeptYes,
    /// Every caller of a node that has a credential of its own configured for the registry.
    NodeCredential,
}
