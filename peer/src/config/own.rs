//! The settings that `stoker-peer` and the peer inside `stoker up` share.

use std::collections::BTreeMap;

use oci::RegistryName;
use settings::{OwnRegistry, Section};
use store::StoreLimits;
use wire::Rate;

use super::front::FrontLimits;
use super::store_limits;
use crate::limits::LimitSettings;

/// The settings of a peer that do not depend on the program that runs it.
#[derive(Debug)]
pub struct PeerSettings {
    /// The rack or site. Peers of one zone exchange chunks, so that each chunk is sent into the zone once.
    pub zone: Option<String>,
    /// The name in logs and lists.
    pub name: String,
    /// Listen address for container runtimes.
    pub front: String,
    /// Listen address for other peers.
    pub share: String,
    pub advertise: Option<String>,
    pub front_limits: FrontLimits,
    pub store: StoreLimits,
    pub limits: LimitSettings,
}

impl PeerSettings {
    /// Reads the keys at the top of the file, `[store]` and `[limits]`. `share` is the default of that key.
    pub fn read(top: &Section<'_>, registries: &[OwnRegistry], share: &str) -> Self {
        let zone = top.text("zone");
        Self {
            zone: zone.and_then(|zone| top.check("zone", checked_zone(zone))),
            name: top.text_or("name", &host_name()),
            front: top.address_or("front", "127.0.0.1:65001"),
            share: top.address_or("share", share),
            advertise: top.text("advertise"),
            front_limits: FrontLimits::read(top),
            store: store_limits::read(&top.table("store")),
            limits: limits(&top.table("limits"), registries),
        }
    }
}

/// Reads the bandwidth limits: `[limits]`, and `bandwidth` of each registry.
fn limits(section: &Section<'_>, registries: &[OwnRegistry]) -> LimitSettings {
    let limited = |own: &OwnRegistry| Some((own.settings.name.clone(), own.bandwidth?));
    let registries: BTreeMap<RegistryName, Rate> = registries.iter().filter_map(limited).collect();
    LimitSettings {
        incoming: section.unit("incoming"),
        outgoing: section.unit("outgoing"),
        registries,
    }
}

/// Returns the zone, if it can be sent in a header without escapes.
fn checked_zone(zone: String) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/".contains(letter);
    if (1..=64).contains(&zone.len()) && zone.chars().all(plain) {
        Ok(zone)
    } else {
        Err(format!(
            "`{zone}` is not a zone name: write up to 64 letters, digits, - . _ or /"
        ))
    }
}

fn host_name() -> String {
    hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "peer".to_owned())
}
