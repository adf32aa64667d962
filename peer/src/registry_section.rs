//! `[registry."host:port"]` in a configuration file: one registry as its owner describes it.
//! The manager's file and the peer's have the same section.

use std::path::PathBuf;

use oci::{Credential, RegistryName, RegistrySettings, Secret};
use serde::Deserialize;
use wire::OfflineAccess;

use crate::neighbours::OwnRegistry;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySection {
    /// Speak HTTP without TLS.
    plain_http: bool,
    /// Do not check the registry's certificate.
    insecure_skip_verify: bool,
    /// PEM file with the authorities of the registry's certificate, beside the system's.
    ca_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    /// File whose content, without white space around it, is the password.
    password_file: Option<PathBuf>,
    /// Other names of the same registry.
    aliases: Vec<String>,
    /// Hosts beside the registry's own that may hand out its tokens.
    token_realms: Vec<String>,
    /// Who may read private objects while the registry is silent: `kept_yes` or `node_credential`.
    offline_access: OfflineAccess,
}

type KeyedFaults = Vec<(String, String)>;

impl RegistrySection {
    /// # Errors
    /// All that is wrong with the section, each with its key.
    pub fn read(self, name: &str) -> Result<OwnRegistry, KeyedFaults> {
        let mut faults = Vec::new();
        let key = |field: &str| format!("registry.\"{name}\".{field}");
        let parsed: Option<RegistryName> = name
            .parse()
            .map_err(|fault| faults.push((format!("registry.\"{name}\""), format!("{fault}"))))
            .ok();
        let ca_pem = self
            .ca_file
            .and_then(|path| readable(&path, key("ca_file"), &mut faults));
        let from_file = self
            .password_file
            .and_then(|path| readable(&path, key("password_file"), &mut faults));
        let credential = match (self.username, self.password.or(from_file)) {
            (Some(username), Some(password)) => Credential::Basic {
                username,
                password: Secret::new(password.trim()),
            },
            (None, None) => Credential::Anonymous,
            (Some(_), None) => {
                faults.push((
                    key("password"),
                    "is needed beside username (or password_file)".to_owned(),
                ));
                Credential::Anonymous
            }
            (None, Some(_)) => {
                faults.push((key("username"), "is needed beside password".to_owned()));
                Credential::Anonymous
            }
        };
        let mut aliases = Vec::new();
        for alias in &self.aliases {
            match alias.parse() {
                Ok(alias) => aliases.push(alias),
                Err(fault) => faults.push((key("aliases"), format!("{fault}"))),
            }
        }
        let Some(name) = parsed.filter(|_| faults.is_empty()) else {
            return Err(faults);
        };
        let settings = RegistrySettings {
            name,
            plain_http: self.plain_http,
            insecure_skip_verify: self.insecure_skip_verify,
            ca_pem,
            credential,
            aliases,
            token_realms: self.token_realms,
        };
        Ok(OwnRegistry {
            settings,
            offline_access: self.offline_access,
        })
    }
}

fn readable(path: &PathBuf, key: String, faults: &mut KeyedFaults) -> Option<String> {
    std::fs::read_to_string(path)
        .map_err(|error| faults.push((key, format!("{}: {error}", path.display()))))
        .ok()
}
