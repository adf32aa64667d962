//! `[limits]` in the peer's configuration file.

use std::collections::BTreeMap;

use oci::RegistryName;
use process::config::Faults;
use serde::Deserialize;
use wire::Rate;

use super::LimitSettings;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsSection {
    /// Bytes per second from registries and other peers: `100MiB/s`.
    incoming: Option<String>,
    /// Bytes per second to other peers.
    outgoing: Option<String>,
}

impl LimitsSection {
    pub(crate) fn read(&self, origins: BTreeMap<RegistryName, Rate>, faults: &mut Faults) -> LimitSettings {
        let mut rate = |key: &str, text: &Option<String>| {
            let text = text.as_deref()?;
            faults.check(&format!("limits.{key}"), text.parse())
        };
        LimitSettings {
            incoming: rate("incoming", &self.incoming),
            outgoing: rate("outgoing", &self.outgoing),
            registries: origins,
        }
    }
}
