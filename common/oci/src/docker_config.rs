//! `config.json` as `docker login` writes it: which of its entries is a registry's.
//!
//! **Invariant:** a fault of the file never repeats what is in it.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::{Credential, CredentialHelper, LookupError, RegistryName, Secret};

/// Larger files are no such file.
const LIMIT: u64 = 1024 * 1024;
/// Docker's own name for its registry; helpers know it by this one.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// As user name it says that the password is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
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

/// Where the file says that the credential is.
pub(crate) enum Found {
    Credential(Credential),
    Helper(CredentialHelper),
}

/// The registry's entry; nobody's credential when it has none.
pub(crate) fn find(path: &Path, registry: &RegistryName) -> Result<Found, LookupError> {
    let config = read(path)?;
    let helper = of_registry(&config.cred_helpers, registry)
        .map(String::as_str)
        .or(Some(config.creds_store.as_str()))
        .filter(|name| !name.is_empty());
    if let Some(name) = helper {
        return Ok(Found::Helper(CredentialHelper::named(name)?));
    }
    let credential = match of_registry(&config.auths, registry) {
        Some(entry) => entry.credential(path)?,
        None => Credential::Anonymous,
    };
    Ok(Found::Credential(credential))
}

/// The name that docker gives a registry when it asks a helper.
pub(crate) fn server_name(registry: &RegistryName) -> &str {
    if registry.is_docker_hub() {
        DOCKER_HUB
    } else {
        registry.as_str()
    }
}

pub(crate) fn pair(username: &str, secret: Secret) -> Credential {
    if username == TOKEN_USER {
        return Credential::IdentityToken(secret);
    }
    Credential::Basic {
        username: username.to_owned(),
        password: secret,
    }
}

fn read(path: &Path) -> Result<DockerConfig, LookupError> {
    let unreadable = |cause: std::io::Error| LookupError::Unreadable {
        path: path.to_owned(),
        cause: cause.to_string(),
    };
    let bad = |what| LookupError::BadFile {
        path: path.to_owned(),
        what,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > LIMIT {
        return Err(bad("it is larger than 1 MiB"));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    // What serde says could repeat parts of a password.
    serde_json::from_slice(&bytes).map_err(|_| bad("it is no JSON of the shape that `docker login` writes"))
}

/// Docker's keys are hosts, or URLs that begin with one.
fn of_registry<'map, T>(map: &'map HashMap<String, T>, registry: &RegistryName) -> Option<&'map T> {
    let exact = map
        .get(server_name(registry))
        .or_else(|| map.get(registry.as_str()));
    exact.or_else(|| {
        let mut keys: Vec<_> = map
            .keys()
            .filter(|key| host_of(key).as_ref() == Some(registry))
            .collect();
        keys.sort_unstable();
        keys.first().and_then(|key| map.get(*key))
    })
}

fn host_of(key: &str) -> Option<RegistryName> {
    let plain_http = key.starts_with("http://");
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let host = rest.split('/').next()?;
    RegistryName::parse(host, plain_http).ok()
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
            let (username, password) = decode(&auth).ok_or_else(|| LookupError::BadFile {
                path: path.to_owned(),
                what: "its auth is no user:password in base64",
            })?;
            return Ok(pair(&username, password));
        }
        match (&self.username, given(&self.password)) {
            (Some(username), Some(password)) => Ok(pair(username, password)),
            _ => Ok(Credential::Anonymous),
        }
    }
}

fn decode(auth: &Secret) -> Option<(String, Secret)> {
    let decoded = STANDARD.decode(auth.expose().trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker has been known to pad with zero bytes.
    Some((username.to_owned(), Secret::new(password.trim_end_matches('\0'))))
}

#[cfg(test)]
#[path = "docker_config_tests.rs"]
mod tests;
