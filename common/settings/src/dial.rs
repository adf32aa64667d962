//! `[dial]`: which registries a preheat may use, and which addresses may be dialled. Both programs have this section.

use oci::{AddressRange, DialRules};

use crate::section::Section;

/// Reads `[dial]`. `addresses` is the default of the key with this name.
pub fn read(top: &Section<'_>, addresses: Vec<AddressRange>) -> DialRules {
    let section = top.table("dial");
    let listed = section.list("addresses");
    let is_listed = section.has("addresses");
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    section.default("addresses", shown);
    DialRules {
        addresses: if is_listed { listed } else { addresses },
        open_by_preheat: section.switch_or("open_by_preheat", true),
        allow: section.list("allow"),
    }
}
