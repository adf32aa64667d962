//! `[dial]`: which registries a preheat may open, and which addresses are dialled. The manager's peers are told.

use oci::{AddressRange, DialRules};
use process::config::Faults;

use super::section::Section;

/// Addresses that are listed where nothing else is said: `stoker up` runs on the machine of who tries it out.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

pub(super) fn read(top: &mut Section, is_laptop: bool, faults: &mut Faults) -> DialRules {
    let mut section = top.table("dial", faults);
    let says_addresses = section.has("addresses");
    let addresses: Vec<AddressRange> = section.list("addresses", faults);
    let rules = DialRules {
        addresses: if says_addresses || !is_laptop {
            addresses
        } else {
            loopback()
        },
        open_by_preheat: section.switch("open_by_preheat", faults).unwrap_or(true),
        allow: section.list("allow", faults),
    };
    section.end(faults);
    rules
}

/// This machine, by number.
pub(crate) fn loopback() -> Vec<AddressRange> {
    LOOPBACK.iter().filter_map(|range| range.parse().ok()).collect()
}
