//! `[registry."host:port"]`: how each registry is reached. The section is the peer's own, so that both programs
//! take the same keys; here its shape is checked first, so that every fault is told.

use peer::{OwnRegistry, RegistrySection};
use process::config::Faults;
use toml::Value;

use super::section::{Section, Shape};

const SHAPE: Shape = Shape {
    texts: &[
        "ca_file",
        "client_cert_file",
        "client_key_file",
        "proxy",
        "proxy_password_file",
        "username",
        "password",
        "password_file",
        "identity_token_file",
        "docker_config",
        "credential_helper",
        "offline_access",
        "authorize",
        "bandwidth",
    ],
    switches: &["plain_http", "insecure_skip_verify"],
    lists: &["aliases", "token_realms"],
    counts: &["max_connections"],
};

pub(super) fn read(top: &mut Section, faults: &mut Faults) -> Vec<OwnRegistry> {
    let sections = top.named_tables("registry", faults);
    sections
        .into_iter()
        .filter_map(|(name, section)| one(&name, section, faults))
        .collect()
}

fn one(name: &str, section: Section, faults: &mut Faults) -> Option<OwnRegistry> {
    let path = section.full("");
    let table = Value::Table(section.shaped(&SHAPE, faults));
    let section: RegistrySection = faults.check(path.trim_end_matches('.'), table.try_into())?;
    match section.read(name) {
        Ok(registry) => Some(registry),
        Err(found) => {
            for (key, fault) in found {
                faults.add(&key, fault);
            }
            None
        }
    }
}
