//! `[registry."host:port"]` in a configuration file: one registry as its owner describes it.
//! The manager's file and the peer's have the same section.
//!
//! **Invariant:** every fault is told with its key, and none repeats a secret.

mod credential;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use oci::{Proxy, RegistryName, RegistrySettings, Secret};
use serde::Deserialize;
use wire::{Authorize, BadRate, OfflineAccess, Rate};

use crate::neighbours::OwnRegistry;
use credential::CredentialKeys;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySection {
    /// Speak HTTP without TLS.
    plain_http: bool,
    /// Do not check the registry's certificate.
    insecure_skip_verify: bool,
    /// PEM file with the authorities of the registry's certificate, beside the system's.
    ca_file: Option<PathBuf>,
    /// PEM files of the certificate and private key that are shown to the registry.
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    /// `http://user:password@proxy:3128`: an HTTP proxy on the way to the registry.
    proxy: Option<String>,
    proxy_password_file: Option<PathBuf>,
    /// Requests to the registry at one time.
    max_connections: Option<u32>,
    /// Bytes per second that one peer takes from the registry: `50MiB/s`.
    bandwidth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    /// File whose content, without white space around it, is the password.
    password_file: Option<PathBuf>,
    /// File with an identity token: what `docker login` keeps instead of a password.
    identity_token_file: Option<PathBuf>,
    /// A `config.json` as `docker login` writes it.
    docker_config: Option<PathBuf>,
    /// `NAME` of `docker-credential-NAME`, or a path.
    credential_helper: Option<String>,
    /// Other names of the same registry.
    aliases: Vec<String>,
    /// Hosts beside the registry's own that may hand out its tokens.
    token_realms: Vec<String>,
    /// Who may read private objects while the registry's host is unreachable: `kept_yes` or `node_credential`.
    offline_access: OfflineAccess,
    /// How it is asked whether a caller may have a manifest: `manifest_get` or `head`.
    authorize: Option<Authorize>,
}

type KeyedFaults = Vec<(String, String)>;

/// What is wrong with one section so far.
struct Reading<'name> {
    name: &'name str,
    faults: KeyedFaults,
}

impl RegistrySection {
    /// # Errors
    /// All that is wrong with the section, each with its key.
    pub fn read(self, name: &str) -> Result<OwnRegistry, KeyedFaults> {
        let faults = Vec::new();
        let mut reading = Reading { name, faults };
        let settings = self.settings(&mut reading);
        let bandwidth = self.bandwidth(&mut reading);
        match settings.filter(|_| reading.faults.is_empty()) {
            Some(settings) => Ok(OwnRegistry {
                settings,
                offline_access: self.offline_access,
                authorize: self.authorize,
                bandwidth,
            }),
            None => Err(reading.faults),
        }
    }

    fn settings(&self, reading: &mut Reading<'_>) -> Option<RegistrySettings> {
        let name = reading.registry_name();
        let ca_pem = reading.content("ca_file", self.ca_file.as_deref());
        let client_identity = self.identity(reading);
        let proxy = self.proxy(reading);
        let max_connections = self.max_connections.and_then(|limit| {
            let limit = NonZeroU32::new(limit);
            if limit.is_none() {
                reading.fault("max_connections", "must be 1 or more; leave it out for no limit");
            }
            limit
        });
        let aliases = self.aliases(reading);
        let credential = self.credential_keys().read(name.as_ref(), reading);
        Some(RegistrySettings {
            plain_http: self.plain_http,
            insecure_skip_verify: self.insecure_skip_verify,
            ca_pem,
            credential,
            aliases,
            token_realms: self.token_realms.clone(),
            client_identity,
            proxy,
            max_connections,
            name: name?,
        })
    }

    fn bandwidth(&self, reading: &mut Reading<'_>) -> Option<Rate> {
        let parsed = self.bandwidth.as_ref()?.parse();
        parsed
            .map_err(|fault: BadRate| reading.fault("bandwidth", &fault))
            .ok()
    }

    fn identity(&self, reading: &mut Reading<'_>) -> Option<Secret> {
        let (certificate, key) = (self.client_cert_file.as_deref(), self.client_key_file.as_deref());
        match (certificate, key) {
            (Some(_), None) => reading.fault("client_key_file", "is needed beside client_cert_file"),
            (None, Some(_)) => reading.fault("client_cert_file", "is needed beside client_key_file"),
            _ => {}
        }
        let certificate = reading.content("client_cert_file", certificate);
        let key = reading.content("client_key_file", key);
        Some(Secret::new(format!("{}\n{}", certificate?, key?)))
    }

    fn proxy(&self, reading: &mut Reading<'_>) -> Option<Proxy> {
        let password = reading.content("proxy_password_file", self.proxy_password_file.as_deref());
        let Some(proxy) = &self.proxy else {
            if password.is_some() {
                reading.fault("proxy", "is needed beside proxy_password_file");
            }
            return None;
        };
        let parsed = proxy.parse().and_then(|proxy: Proxy| match &password {
            Some(password) => proxy.with_password(&Secret::new(password.trim())),
            None => Ok(proxy),
        });
        parsed.map_err(|fault| reading.fault("proxy", &fault)).ok()
    }

    fn aliases(&self, reading: &mut Reading<'_>) -> Vec<RegistryName> {
        let mut aliases = Vec::new();
        for alias in &self.aliases {
            match alias.parse() {
                Ok(alias) => aliases.push(alias),
                Err(fault) => reading.fault("aliases", &fault),
            }
        }
        aliases
    }

    fn credential_keys(&self) -> CredentialKeys<'_> {
        CredentialKeys {
            username: self.username.as_deref(),
            password: self.password.as_deref(),
            password_file: self.password_file.as_deref(),
            identity_token_file: self.identity_token_file.as_deref(),
            docker_config: self.docker_config.as_deref(),
            credential_helper: self.credential_helper.as_deref(),
        }
    }
}

impl Reading<'_> {
    fn registry_name(&mut self) -> Option<RegistryName> {
        let parsed = self.name.parse();
        let key = format!("registry.\"{}\"", self.name);
        parsed
            .map_err(|fault: oci::BadName| self.faults.push((key, fault.to_string())))
            .ok()
    }

    fn fault(&mut self, field: &str, fault: &(impl ToString + ?Sized)) {
        let key = format!("registry.\"{}\".{field}", self.name);
        self.faults.push((key, fault.to_string()));
    }

    /// Of the file that the key names, if it names one.
    fn content(&mut self, field: &str, path: Option<&Path>) -> Option<String> {
        let path = path?;
        std::fs::read_to_string(path)
            .map_err(|error| self.fault(field, &format!("{}: {error}", path.display())))
            .ok()
    }
}

#[cfg(test)]
mod tests;
