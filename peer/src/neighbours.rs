//! What the manager last said of this peer's surroundings: the seeds of its cluster, and how registries are reached. It
//! is kept on disk, so that a peer that restarts without its manager still knows it.
//!
//! **Invariant:** the manager never overrides a registry of the peer's own configuration.

mod surroundings;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oci::{Credential, DialRules, Digest, Registries, RegistryName, RegistrySettings};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use settings::OwnRegistry;
use tracing::warn;
use uuid::Uuid;
use wire::{Authorize, Neighbourhood, OfflineAccess, RegistryDescription, SeedAddress, Welcome};

use crate::limits::Limits;
pub use surroundings::Surroundings;

/// Clones share one state.
#[derive(Clone)]
pub struct Neighbours(Arc<NeighboursState>);

struct NeighboursState {
    me: Uuid,
    cluster: String,
    file: PathBuf,
    own: Vec<OwnRegistry>,
    rules: DialRules,
    registries: Registries,
    known: RwLock<KnownNeighbourhood>,
    own_share: OnceLock<String>,
    zone: OnceLock<String>,
    paced: OnceLock<Limits>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct KnownNeighbourhood {
    neighbourhood: Neighbourhood,
}

impl Neighbours {
    /// Reads what the last session stored in `data_dir`.
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
        let inner = NeighboursState {
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

    /// Sets these limits from what the manager said last, and from each later change.
    pub(crate) fn pace(&self, limits: Limits) {
        let limits = self.0.paced.get_or_init(|| limits);
        self.read(|known| limits.learn(self.0.me, &known.neighbourhood));
    }

    /// Keeps what the manager said at hello.
    pub fn welcome(&self, welcome: &Welcome) {
        self.learn(welcome.neighbourhood.clone());
    }

    pub fn learn(&self, neighbourhood: Neighbourhood) {
        self.change(|known| known.neighbourhood = neighbourhood);
    }

    /// Sets the URL of our own `share`. A `*` for the host means the address that our requests come from.
    pub fn listens_at(&self, share_url: String) {
        let _ = self.0.own_share.set(share_url);
    }

    /// Sets the rack or site of this peer.
    pub fn lies_in(&self, zone: String) {
        let _ = self.0.zone.set(zone);
    }

    pub fn zone(&self) -> Option<String> {
        self.0.zone.get().cloned()
    }

    pub fn own_share(&self) -> Option<String> {
        self.0.own_share.get().cloned()
    }

    /// Returns the version of the neighbourhood, which the next long poll sends.
    pub fn version(&self) -> String {
        self.read(|known| known.neighbourhood.version.clone())
    }

    pub fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// Returns the other seeds of the cluster, in this object's order.
    pub fn seeds_in_order(&self, digest: &Digest) -> Vec<SeedAddress> {
        let seeds = self.read(|known| known.neighbourhood.seeds.clone());
        wire::seeds_in_order(&self.0.cluster, digest.as_str(), &seeds, |seed| seed.peer)
            .into_iter()
            .filter(|seed| seed.peer != self.0.me)
            .cloned()
            .collect()
    }

    /// Returns the `share` URLs of the seeds that fetch this object from the registry for others, best first. A seed gets
    /// only those before itself: it is the next one to fetch.
    pub fn relays(&self, digest: &Digest) -> Vec<String> {
        let seeds = self.read(|known| known.neighbourhood.seeds.clone());
        wire::seeds_in_order(&self.0.cluster, digest.as_str(), &seeds, |seed| seed.peer)
            .into_iter()
            .take_while(|seed| seed.peer != self.0.me)
            .map(|seed| seed.share_url.clone())
            .collect()
    }

    /// Returns the other seeds of the cluster.
    pub fn seeds(&self) -> Vec<SeedAddress> {
        let others = |seed: &&SeedAddress| seed.peer != self.0.me;
        self.read(|known| known.neighbourhood.seeds.iter().filter(others).cloned().collect())
    }

    /// Returns the name of the seed with this `share` URL.
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

    /// Returns whether the registry is configured or allowed, here or at the manager, or was named by a preheat.
    pub fn may_dial(&self, name: &RegistryName) -> bool {
        let is_allowed = || {
            let allowed = self.read(|known| known.neighbourhood.dial.allow.clone());
            allowed.iter().any(|pattern| oci::is_named_by(name, pattern))
        };
        self.0.registries.knows(name) || self.0.rules.allow(name) || is_allowed()
    }

    /// Returns whether preheats may fetch from the registry here.
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

    /// Returns how the registry is asked whether a caller may read a manifest. `seen` says whether its last challenge
    /// was a Harbor's.
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

    /// Returns the node's own credential for the registry.
    pub fn own_credential(&self, name: &RegistryName) -> Option<Credential> {
        let credential = self.own(name)?.settings.credential.clone();
        (!matches!(credential, Credential::Anonymous)).then_some(credential)
    }

    /// Returns the manager's description of the registry, by any of its names.
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

    /// Returns whether the registry is not configured, and preheats have named it only with plain HTTP.
    pub fn seen_by_plain_http_only(&self, name: &RegistryName) -> bool {
        let is_it = |description: &RegistryDescription| !description.configured && description.plain_http;
        self.own(name).is_none() && self.description(name).as_ref().is_some_and(is_it)
    }

    fn own(&self, name: &RegistryName) -> Option<&OwnRegistry> {
        let name = self.0.registries.canonical(name);
        self.0.own.iter().find(|own| own.settings.name == name)
    }

    fn read<T>(&self, look: impl FnOnce(&KnownNeighbourhood) -> T) -> T {
        look(&self.0.known.read())
    }

    fn change(&self, change: impl FnOnce(&mut KnownNeighbourhood)) {
        let known = {
            let mut known = self.0.known.write();
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
            warn!(file = %self.0.file.display(), stoker.side = "peer", %error, "what the manager said could not be stored");
        }
    }

    fn configure_registries(&self) {
        let mut settings: Vec<RegistrySettings> = self.0.own.iter().map(|own| own.settings.clone()).collect();
        let neighbourhood = self.read(|known| known.neighbourhood.clone());
        let mut listed = settings.clone();
        for description in neighbourhood.registries {
            if !description.configured && !self.0.rules.open_by_preheat {
                continue;
            }
            let described = settings_of(&description);
            listed.extend(described.clone().filter(|_| description.configured));
            match described {
                Some(described) if !settings.iter().any(|own| own.name == described.name) => {
                    settings.push(described);
                }
                Some(_) => {}
                None => {
                    warn!(stoker.registry = %description.name, stoker.side = "manager", "the manager sent an invalid registry name");
                }
            }
        }
        self.list_dialled_hosts(&listed, &neighbourhood.dial.addresses);
        self.0.registries.configure(settings);
    }

    /// Lists hosts that are configured, here or at the manager; not those that only a preheat named.
    fn list_dialled_hosts(&self, hosts: &[RegistrySettings], addresses: &[String]) {
        let dial = self.0.registries.dial();
        let addresses = addresses.iter().filter_map(|range| range.parse().ok());
        dial.list_addresses(self.0.rules.addresses.iter().copied().chain(addresses).collect());
        dial.list_hosts(hosts);
    }
}

fn settings_of(description: &RegistryDescription) -> Option<RegistrySettings> {
    Some(RegistrySettings {
        // A registry that only a preheat named does not change a location that names its scheme.
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
        header_wait: description.header_wait_ms.map(Duration::from_millis),
        ..RegistrySettings::new(description.name.parse().ok()?)
    })
}

/// Returns nothing known if the file is missing or cannot be parsed.
fn read(file: &Path) -> KnownNeighbourhood {
    let Ok(bytes) = std::fs::read(file) else {
        return KnownNeighbourhood::default();
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!(file = %file.display(), stoker.side = "peer", %error, "stored neighbourhood could not be read; waiting for the manager");
        KnownNeighbourhood::default()
    })
}

#[cfg(test)]
mod tests;
