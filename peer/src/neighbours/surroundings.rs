//! What sources and relays need to know of a peer's surroundings. Tests implement it in their own way.

use oci::Registries;

use super::Neighbours;

pub trait Surroundings: Send + Sync {
    fn registries(&self) -> &Registries;
    /// Returns the URL of our own `share`. A `*` for the host means the address that our requests come from.
    fn own_share(&self) -> Option<String> {
        None
    }
    /// Returns our rack or site. Peers in the same one are near.
    fn zone(&self) -> Option<String> {
        None
    }
}

impl Surroundings for Neighbours {
    fn registries(&self) -> &Registries {
        Neighbours::registries(self)
    }

    fn own_share(&self) -> Option<String> {
        Neighbours::own_share(self)
    }

    fn zone(&self) -> Option<String> {
        Neighbours::zone(self)
    }
}
