//! What this peer knows of its surroundings, in memory and on its disk: seeds of its cluster, how registries
//! are reached.
//!
//! **Invariant:** what was learned last survives a restart without the manager. A registry that the peer's
//! own file describes is never overridden by the manager.

mod surroundings;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use oci::{Credential, DialRules, Digest, Registries, RegistryName, RegistrySettings};
use serde::{Deserialize, Serialize};
use settings::OwnRegistry;
use tracing::warn;
use uuid::Uuid;
use wire::{Authorize, Neighbourhood, OfflineAccess, RegistryDescription, SeedAddress, Welcome};

use crate::limits::Limits;
pub use surroundings::Surroundings;

/// Shared by everything that looks around; clones see the same.
#[derive(Clone)]
pub struct Neighbours(Arc<Inner>);

struct Inner {
    me: Uuid,
    cluster: String,
    file: PathBuf,
    own: Vec<OwnRegistry>,
    rules: DialRules,
    registries: Registries,
    known: RwLock<Known>,
    own_share: OnceLock<String>,
    zone: OnceLock<String>,
    paced: OnceLock<Limits>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Known {
    neighbourhood: Neighbourhood,
}

impl Neighbours {
    /// Starts with what the last session left in `data_dir`.
    pub fn open(
        me: Uuid,
        cluster: &str,
        data_dir: &Path,
        own: Vec<OwnRegistry>,
        rules: DialRules,
        registries: Registries,
    ) -> Self {
        let file = data_dir.join("neighbours.json");
        let known = read(&file);
        let inner = Inner {
            me,
            cluster: cluster.to_owned(),
            file,
            own,
            rules,
            registries,
            known: RwLock::new(known),
            own_share: OnceLock::new(),
            zone: OnceLock::new(),
            paced: OnceLock::new(),
        };
        let neighbours = Self(Arc::new(inner));
        neighbours.configure_registries();
        neighbours
    }

    /// From now on these limits are what the manager says, beginning with what it said last.
    pub(crate) fn pace(&self, limits: Limits) {
        let limits = self.0.paced.get_or_init(|| limits);
        self.read(|known| limits.learn(self.0.me, &known.neighbourhood));
    }

    /// Takes over what the manager said at hello.
    pub fn welcome(&self, welcome: &Welcome) {
        self.learn(welcome.neighbourhood.clone());
    }

    pub fn learn(&self, neighbourhood: Neighbourhood) {
        self.change(|known| known.neighbourhood = neighbourhood);
    }

    /// Where our own `share` answers, once it listens; a `*` for the host: where our requests come from.
    pub fn listens_at(&self, share_url: String) {
        // It listens once.
        let _ = self.0.own_share.set(share_url);
    }

    /// The rack or site that this peer is in.
    pub fn lies_in(&self, zone: String) {
        // It does not move.
        let _ = self.0.zone.set(zone);
    }

    pub fn zone(&self) -> Option<String> {
        self.0.zone.get().cloned()
    }

    pub fn own_share(&self) -> Option<String> {
        self.0.own_share.get().cloned()
    }

    /// The version to name when asking for news.
    pub fn version(&self) -> String {
        self.read(|known| known.neighbourhood.version.clone())
    }

    pub fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// Other seeds of the cluster, in the order in which they are asked for this object.
    pub fn seeds_in_order(&self, digest: &Digest) -> Vec<SeedAddress> {
        let seeds = self.read(|known| known.neighbourhood.seeds.clone());
        wire::seeds_in_order(&self.0.cluster, digest.as_str(), &seeds, |seed| seed.peer)
            .into_iter()
            .filter(|seed| seed.peer != self.0.me)
            .cloned()
            .collect()
    }

    /// `share` URLs of the seeds that fetch this object from the registry for others, best first. A seed that is among
    /// them asks only those before itself: it is the next to fetch.
    pub fn relays(&self, digest: &Digest) -> Vec<String> {
        let seeds = self.read(|known| known.neighbourhood.seeds.clone());
        wire::seeds_in_order(&self.0.cluster, digest.as_str(), &seeds, |seed| seed.peer)
            .into_iter()
            .take_while(|seed| seed.peer != self.0.me)
            .map(|seed| seed.share_url.clone())
            .collect()
    }

    /// Other seeds of the cluster.
    pub fn seeds(&self) -> Vec<SeedAddress> {
        let others = |seed: &&SeedAddress| seed.peer != self.0.me;
        self.read(|known| known.neighbourhood.seeds.iter().filter(others).cloned().collect())
    }

    /// The name of the peer whose `share` this is, if it is one that the manager has told of.
    pub fn name_of(&self, share_url: &str) -> Option<String> {
        self.read(|known| {
            let mut seeds = known.neighbourhood.seeds.iter();
            seeds
                .find(|seed| seed.share_url == share_url)
                .map(|seed| seed.name.clone())
        })
    }

    pub fn registries(&self) -> &Registries {
        &self.0.registries
    }

    /// Whether the registry is configured or allowed, here or at the manager, or was named by a preheat.
    pub fn may_dial(&self, name: &RegistryName) -> bool {
        let is_allowed = || {
            let told = self.read(|known| known.neighbourhood.dial.allow.clone());
            told.iter().any(|pattern| oci::is_named_by(name, pattern))
        };
        self.0.registries.knows(name) || self.0.rules.allow(name) || is_allowed()
    }

    /// Whether this node fetches from the registry because a preheat wants it.
    pub fn may_preheat_from(&self, name: &RegistryName) -> bool {
        self.0.rules.open_by_preheat || self.may_dial(name)
    }

    pub fn offline_access(&self, name: &RegistryName) -> OfflineAccess {
        if let Some(own) = self.own(name) {
            return own.offline_access;
        }
        self.description(name)
            .map(|description| description.offline_access)
            .unwrap_or_default()
    }

    /// How it is asked whether a caller may have a manifest; `seen` tells whether this node has seen it to be a Harbor.
    pub fn authorize(&self, name: &RegistryName, seen: impl FnOnce() -> bool) -> Authorize {
        let described = self.description(name).unwrap_or_default();
        let configured = self.own(name).and_then(|own| own.authorize);
        let by_default = || {
            if described.harbor || self.0.registries.is_harbor(name) || seen() {
                Authorize::ManifestGet
            } else {
                Authorize::Head
            }
        };
        configured.or(described.authorize).unwrap_or_else(by_default)
    }

    /// The credential that this node itself has for the registry.
    pub fn own_credential(&self, name: &RegistryName) -> Option<Credential> {
        let credential = self.own(name)?.settings.credential.clone();
        (!matches!(credential, Credential::Anonymous)).then_some(credential)
    }

    /// What the manager says of the registry, under any of its names.
    pub fn description(&self, name: &RegistryName) -> Option<RegistryDescription> {
        let name = self.0.registries.canonical(name);
        self.read(|known| {
            known
                .neighbourhood
                .registries
                .iter()
                .find(|registry| registry.name == name.as_str())
                .cloned()
        })
    }

    /// Whether nobody has described the registry, and preheats have named it by plain HTTP only.
    pub fn seen_by_plain_http_only(&self, name: &RegistryName) -> bool {
        let is_it = |description: &RegistryDescription| !description.configured && description.plain_http;
        self.own(name).is_none() && self.description(name).as_ref().is_some_and(is_it)
    }

    fn own(&self, name: &RegistryName) -> Option<&OwnRegistry> {
        let name = self.0.registries.canonical(name);
        self.0.own.iter().find(|own| own.settings.name == name)
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.0.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let known = {
            let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
            change(&mut known);
            known.clone()
        };
        self.configure_registries();
        if let Some(limits) = self.0.paced.get() {
            limits.learn(self.0.me, &known.neighbourhood);
        }
        let written = serde_json::to_vec_pretty(&known)
            .map_err(std::io::Error::other)
            .and_then(|bytes| process::files::write_private(&self.0.file, &bytes));
        if let Err(error) = written {
            warn!(file = %self.0.file.display(), stoker.side = "peer", %error, "what the manager said is not kept over a restart");
        }
    }

    fn configure_registries(&self) {
        let mut settings: Vec<RegistrySettings> = self.0.own.iter().map(|own| own.settings.clone()).collect();
        let told = self.read(|known| known.neighbourhood.clone());
        let mut listed = settings.clone();
        for description in told.registries {
            if !description.configured && !self.0.rules.open_by_preheat {
                continue;
            }
            let described = settings_of(&description);
            listed.extend(described.clone().filter(|_| description.configured));
            match described {
                Some(told) if !settings.iter().any(|own| own.name == told.name) => settings.push(told),
                Some(_) => {}
                None => {
                    warn!(stoker.registry = %description.name, stoker.side = "manager", "the manager named a registry that cannot be one");
                }
            }
        }
        self.list_what_may_be_dialled(&listed, &told.dial.addresses);
        self.0.registries.configure(settings);
    }

    /// Hosts of the configuration, here and at the manager; never what only a preheat named.
    fn list_what_may_be_dialled(&self, hosts: &[RegistrySettings], told: &[String]) {
        let dial = self.0.registries.dial();
        let told = told.iter().filter_map(|range| range.parse().ok());
        dial.list_addresses(self.0.rules.addresses.iter().copied().chain(told).collect());
        dial.list_hosts(hosts);
    }
}

fn settings_of(description: &RegistryDescription) -> Option<RegistrySettings> {
    Some(RegistrySettings {
        // What only a preheat has named decides nothing about a location that names its scheme.
        plain_http: description.plain_http && description.configured,
        insecure_skip_verify: description.insecure_skip_verify,
        ca_pem: description.ca_pem.clone(),
        aliases: description
            .aliases
            .iter()
            .filter_map(|alias| alias.parse().ok())
            .collect(),
        token_realms: description.token_realms.clone(),
        proxy: description.proxy.as_ref().and_then(|proxy| proxy.parse().ok()),
        max_connections: description.max_connections,
        ..RegistrySettings::new(description.name.parse().ok()?)
    })
}

/// A file that is not there or cannot be read is a peer that has never been welcomed.
fn read(file: &Path) -> Known {
    let Ok(bytes) = std::fs::read(file) else {
        return Known::default();
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!(file = %file.display(), stoker.side = "peer", %error, "what the manager said last cannot be read; waiting for it to say it again");
        Known::default()
    })
}

#[cfg(test)]
mod tests;
