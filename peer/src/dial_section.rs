//! `[dial]` in the peer's file: what this node adds to what the manager says about dialling.

use oci::{AddressRange, DialRules};
use process::config::Faults;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DialSection {
    /// Addresses of this machine, its link and its cloud that are dialled all the same: `127.0.0.0/8`.
    addresses: Vec<String>,
    /// Whether registries that only a preheat named are dialled.
    open_by_preheat: Option<bool>,
    /// Registries that may be dialled on a client's word.
    allow: Vec<String>,
}

impl DialSection {
    pub(crate) fn read(self, faults: &mut Faults) -> DialRules {
        let mut addresses = Vec::new();
        for text in &self.addresses {
            addresses.extend(faults.check("dial.addresses", text.parse::<AddressRange>()));
        }
        DialRules {
            addresses,
            open_by_preheat: self.open_by_preheat.unwrap_or(true),
            allow: self.allow,
        }
    }
}
