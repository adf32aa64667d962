//! What the roads of bytes need to know of a peer's surroundings, as a port that tests fill in their own way.

use oci::Registries;

use super::Neighbours;

/// What sources need to know of the surroundings.
pub trait Surroundings: Send + Sync {
    fn registries(&self) -> &Registries;
    /// Where our own `share` answers, as others may know it; a `*` for the host: where our requests come from.
    fn own_share(&self) -> Option<String> {
        None
    }
    /// The rack or site that we are in: those in the same one are near.
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
