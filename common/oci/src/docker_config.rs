//! `config.json` as `docker login`, podman, kubelet and jib write it: which of its entries is for a repository.
//!
//! A key is a host, with or without a scheme, a port and a path: `r.lan:5000`, `https://r.lan/v1/`, `r.lan/team-a`. A `*`
//! stands for letters within one label of the host, or for any port. The longest key that matches counts.
//!
//! **Invariant:** an entry with a path is used for what lies below that path only, label by label: never the credential of
//! another namespace. A fault of the file never repeats what is in it.

mod key;

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use self::key::{ConfigKey, KeyKind, Order, Rank};
use crate::credential::{Credential, Secret};
use crate::helper::CredentialHelper;
use crate::lookup_error::LookupError;
use crate::{RegistryName, Repository};

/// Larger files are no such file.
const LIMIT: u64 = 1024 * 1024;
/// Docker's own name for its registry; helpers know it by this one.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The file, read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DockerConfig {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// A place where the file says that the credential is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Entry(Credential),
    /// Knows it by the name of this server.
    Helper {
        helper: CredentialHelper,
        server: String,
    },
}

impl DockerConfig {
    pub(crate) fn read(path: &Path) -> Result<Self, LookupError> {
        let unreadable = |cause: std::io::Error| LookupError::Unreadable {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        if std::fs::metadata(path).map_err(unreadable)?.len() > LIMIT {
            return Err(bad(path, "it is larger than 1 MiB"));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        // What serde says could repeat parts of a password.
        serde_json::from_slice(&bytes)
            .map_err(|_| bad(path, "it is no JSON of the shape that `docker login` writes"))
    }

    /// Where the credential for a repository is, best first: the next one counts where the one before knows nothing.
    /// Without a repository only keys without a path match.
    pub(crate) fn sources(
        &self,
        path: &Path,
        registry: &RegistryName,
        repository: Option<&Repository>,
    ) -> Result<Vec<Source>, LookupError> {
        let fits = |key: &ConfigKey<'_>| key.covers(repository);
        let mut ranked = Vec::new();
        for (rank, entry) in matching(&self.auths, registry, fits) {
            let credential = entry.credential(path)?;
            if !credential.is_anonymous() {
                ranked.push((rank.order(KeyKind::Entry), Source::Entry(credential)));
            }
        }
        let helpers = matching(&self.cred_helpers, registry, fits);
        for (rank, name) in helpers.iter().filter(|(_, name)| !name.is_empty()) {
            let helper = CredentialHelper::named(name)?;
            ranked.extend(asked(registry, rank, &helper));
        }
        let has_helper = helpers
            .iter()
            .any(|(rank, name)| rank.is_of_host() && !name.is_empty());
        if !self.creds_store.is_empty() && !has_helper {
            let helper = CredentialHelper::named(&self.creds_store)?;
            let server = server_name(registry).to_owned();
            ranked.push((
                Rank::of_host().order(KeyKind::Store),
                Source::Helper { helper, server },
            ));
        }
        ranked.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(ranked.into_iter().map(|(_, source)| source).collect())
    }

    /// Can every entry of this registry be used, whatever its repositories?
    pub(crate) fn check(&self, path: &Path, registry: &RegistryName) -> Result<(), LookupError> {
        for (_, entry) in matching(&self.auths, registry, |_| true) {
            entry.credential(path)?;
        }
        let helpers = matching(&self.cred_helpers, registry, |_| true);
        let names = helpers
            .into_iter()
            .map(|(_, name)| name)
            .chain([&self.creds_store]);
        for name in names.filter(|name| !name.is_empty()) {
            CredentialHelper::named(name)?;
        }
        Ok(())
    }
}

fn matching<'map, T>(
    map: &'map HashMap<String, T>,
    registry: &RegistryName,
    fits: impl Fn(&ConfigKey<'_>) -> bool,
) -> Vec<(Rank, &'map T)> {
    let ranked = map.iter().filter_map(|(text, value)| {
        let key = ConfigKey::of(text);
        let rank = key.rank(registry).filter(|_| fits(&key))?;
        Some((rank, value))
    });
    ranked.collect()
}

/// The names that a helper may know a credential by: the path of its key, if that has one, and, less closely, the host.
fn asked(registry: &RegistryName, rank: &Rank, helper: &CredentialHelper) -> Vec<(Order, Source)> {
    let of = |server: String| Source::Helper {
        helper: helper.clone(),
        server,
    };
    let by_host = of(server_name(registry).to_owned());
    if rank.is_of_host() {
        return vec![(rank.clone().order(KeyKind::Helper), by_host)];
    }
    let by_path = of(format!("{registry}/{}", rank.path));
    vec![
        (rank.clone().order(KeyKind::Helper), by_path),
        (Rank::of_host().order(KeyKind::Helper), by_host),
    ]
}

/// The name that docker gives a registry when it asks a helper.
pub(crate) fn server_name(registry: &RegistryName) -> &str {
    if registry.is_docker_hub() {
        DOCKER_HUB
    } else {
        registry.as_str()
    }
}

fn bad(path: &Path, what: &'static str) -> LookupError {
    LookupError::BadFile {
        path: path.to_owned(),
        what,
    }
}

impl Entry {
    fn credential(&self, path: &Path) -> Result<Credential, LookupError> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.expose().is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Credential::IdentityToken(token));
        }
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Credential::Header(Secret::new(format!(
                "Bearer {}",
                token.expose()
            ))));
        }
        if let Some(auth) = given(&self.auth) {
            let (username, password) =
                decode(&auth).ok_or_else(|| bad(path, "its auth is no user:password in base64"))?;
            return Ok(Credential::from_login(&username, password));
        }
        match (&self.username, given(&self.password)) {
            (Some(username), Some(password)) => Ok(Credential::from_login(username, password)),
            _ => Ok(Credential::Anonymous),
        }
    }
}

/// In either alphabet of base64, padded or not: tools differ.
fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = auth.expose().trim();
    let alphabet = if text.contains(['-', '_']) {
        &alphabet::URL_SAFE
    } else {
        &alphabet::STANDARD
    };
    let decoded = GeneralPurpose::new(alphabet, lenient).decode(text).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker has been known to pad with zero bytes, and `base64` in a shell to take a line's end along.
    let password = password.trim_end_matches(['\0', '\r', '\n']);
    Some((username.to_owned(), Secret::new(password)))
}

#[cfg(test)]
#[path = "docker_config_tests.rs"]
mod tests;
