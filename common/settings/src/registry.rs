//! `[registry."host:port"]`: the settings of one registry. Both programs have this section.
//!
//! **Invariant:** no fault repeats a secret.

use std::num::NonZeroU32;

use oci::{Proxy, RegistryName, RegistrySettings, Secret};
use wire::{Authorize, OfflineAccess, Rate};

use crate::credential;
use crate::section::Section;

/// A registry as the configuration describes it.
#[derive(Clone)]
pub struct OwnRegistry {
    pub settings: RegistrySettings,
    pub offline_access: OfflineAccess,
    pub authorize: Option<Authorize>,
    /// The highest rate at which one peer reads from it.
    pub bandwidth: Option<Rate>,
}

/// Shows only the name: the settings hold a credential.
impl std::fmt::Debug for OwnRegistry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.name.fmt(out)
    }
}

/// Reads all registries in the file.
pub fn read(top: &Section<'_>) -> Vec<OwnRegistry> {
    let sections = top.named_tables("registry");
    sections
        .iter()
        .filter_map(|(name, section)| one(name, section))
        .collect()
}

fn one(name: &str, section: &Section<'_>) -> Option<OwnRegistry> {
    let name: Result<RegistryName, _> = name.parse();
    let name = name.map_err(|fault| section.fault_of_section(fault)).ok();
    let settings = settings(name, section);
    let offline_access = section.choice("offline_access");
    let authorize = section.choice("authorize");
    let bandwidth = section.unit("bandwidth");
    Some(OwnRegistry {
        settings: settings?,
        offline_access: offline_access.unwrap_or_default(),
        authorize,
        bandwidth,
    })
}

/// Reads every key even if the name is invalid, so that all faults are reported at once.
fn settings(name: Option<RegistryName>, section: &Section<'_>) -> Option<RegistrySettings> {
    let plain_http = section.switch_or("plain_http", false);
    let insecure_skip_verify = section.switch_or("insecure_skip_verify", false);
    let ca_pem = section.certificates("ca_file");
    let client_identity = identity(section);
    let proxy = proxy(section);
    let max_connections = max_connections(section);
    let aliases = section.list("aliases");
    let token_realms = section.list("token_realms");
    let credential = credential::read(name.as_ref(), section);
    Some(RegistrySettings {
        name: name?,
        plain_http,
        insecure_skip_verify,
        ca_pem,
        credential,
        aliases,
        token_realms,
        client_identity,
        proxy,
        max_connections,
    })
}

fn max_connections(section: &Section<'_>) -> Option<NonZeroU32> {
    let limit = NonZeroU32::new(section.count("max_connections")?);
    let fault = "must be 1 or more; leave it out for no limit";
    section.check("max_connections", limit.ok_or(fault))
}

/// Returns certificate and key as one PEM text.
fn identity(section: &Section<'_>) -> Option<Secret> {
    let (certificate_key, key_key) = ("client_cert_file", "client_key_file");
    let certificate = section.file_content(certificate_key);
    let key = section.file_content(key_key);
    match (section.has(certificate_key), section.has(key_key)) {
        (true, false) => section.incomplete(key_key, "missing: client_cert_file needs it"),
        (false, true) => section.incomplete(certificate_key, "missing: client_key_file needs it"),
        _ => {}
    }
    Some(Secret::new(format!("{}\n{}", certificate?, key?)))
}

fn proxy(section: &Section<'_>) -> Option<Proxy> {
    let password = section.file_content("proxy_password_file");
    // The URL may hold a password.
    let Some(url) = section.secret("proxy") else {
        if password.is_some() && !section.has("proxy") {
            section.incomplete("proxy", "missing: proxy_password_file needs it");
        }
        return None;
    };
    let proxy: Proxy = section.check("proxy", url.parse())?;
    section.show_as("proxy", proxy.to_string());
    match password {
        Some(password) => section.check("proxy", proxy.with_password(&Secret::new(password.trim()))),
        None => Some(proxy),
    }
}

#[cfg(test)]
mod tests;
