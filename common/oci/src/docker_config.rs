//! Finds the entry for a repository in a `config.json` as `docker login`, podman, kubelet and jib write it.
//!
//! A key is a host with an optional scheme, port and path: `r.lan:5000`, `https://r.lan/v1/`, `r.lan/team-a`. A `*`
//! matches characters within one label of the host, or any port. The longest matching key wins.
//!
//! **Invariant:** an entry with a path is used only for repositories below that path, compared part by part; another
//! namespace's credential is never used. Errors never repeat the file's content.

mod key;

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Deserializer};

use self::key::{ConfigKey, KeyKind, Order, Rank};
use crate::credential::{Credential, Secret};
use crate::helper::CredentialHelper;
use crate::lookup_error::LookupError;
use crate::{RegistryName, Repository, Scheme};

/// A larger file is not a `config.json`.
const LIMIT: u64 = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Docker's name for its registry, which credential helpers use.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The parsed file.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DockerConfig {
    #[serde(deserialize_with = "null_as_default")]
    auths: HashMap<String, Option<Entry>>,
    #[serde(deserialize_with = "null_as_default")]
    cred_helpers: HashMap<String, Option<String>>,
    #[serde(deserialize_with = "null_as_default")]
    creds_store: String,
}

/// Go's tools write an empty list as `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
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

/// Where the file says that a credential is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Entry(Credential),
    /// The helper stores it under this server name.
    Helper {
        helper: CredentialHelper,
        server: String,
    },
}

/// The registry to which a key is compared. Its scheme decides which port a key may leave out.
pub(crate) struct KeyedRegistry {
    name: RegistryName,
    plain_http: bool,
}

impl KeyedRegistry {
    pub(crate) fn new(name: &RegistryName, scheme: Scheme) -> Self {
        let plain_http = scheme.is_plain();
        Self {
            name: name.for_scheme(plain_http),
            plain_http,
        }
    }
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
        // serde's error text could repeat parts of a password.
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        serde_json::from_slice(text).map_err(|_| bad(path, "it is not JSON as `docker login` writes it"))
    }

    /// Returns where the credential for a repository may be, best first: try each until one has a credential.
    /// Without a repository, only keys without a path match.
    pub(crate) fn sources(
        &self,
        path: &Path,
        registry: &KeyedRegistry,
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
            ranked.extend(requested(&registry.name, rank, &helper));
        }
        let has_helper = helpers
            .iter()
            .any(|(rank, name)| rank.is_of_host() && !name.is_empty());
        if !self.creds_store.is_empty() && !has_helper {
            let helper = CredentialHelper::named(&self.creds_store)?;
            let server = server_name(&registry.name).to_owned();
            ranked.push((
                Rank::of_host().order(KeyKind::Store),
                Source::Helper { helper, server },
            ));
        }
        ranked.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(ranked.into_iter().map(|(_, source)| source).collect())
    }

    /// Checks that every entry of this registry is usable, for any repository.
    pub(crate) fn check(&self, path: &Path, registry: &KeyedRegistry) -> Result<(), LookupError> {
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
    map: &'map HashMap<String, Option<T>>,
    registry: &KeyedRegistry,
    fits: impl Fn(&ConfigKey<'_>) -> bool,
) -> Vec<(Rank, &'map T)> {
    let ranked = map.iter().filter_map(|(text, value)| {
        let key = ConfigKey::of(text);
        let rank = key.rank(registry).filter(|_| fits(&key))?;
        Some((rank, value.as_ref()?))
    });
    ranked.collect()
}

/// Returns the names under which a helper may store a credential: the key's path, if any, and with a lower rank the host.
fn requested(registry: &RegistryName, rank: &Rank, helper: &CredentialHelper) -> Vec<(Order, Source)> {
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

/// Returns the server name that docker passes to a credential helper.
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
                decode(&auth).ok_or_else(|| bad(path, "its auth is not base64 of user:password"))?;
            return Ok(Credential::from_login(&username, password));
        }
        match (&self.username, given(&self.password)) {
            (Some(username), Some(password)) => Ok(Credential::from_login(username, password)),
            _ => Ok(Credential::Anonymous),
        }
    }
}

/// Decodes either base64 alphabet, padded or not: tools differ.
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
    // Docker may pad with zero bytes, and `base64` in a shell may include a line end.
    let password = password.trim_end_matches(['\0', '\r', '\n']);
    Some((username.to_owned(), Secret::new(password)))
}

#[cfg(test)]
#[path = "docker_config_tests.rs"]
mod tests;
