//! The object to fetch, and its possible sources.

use oci::{Credential, Digest, Location};
use wire::{ObjectKind, Side, TraceContext};

use super::error::FetchError;
use super::needs::Needs;
use crate::limits::Class;
use crate::source::RegistrySource;

/// One object to fetch, and its possible sources.
#[derive(Debug, Clone)]
pub struct FetchSpec {
    pub digest: Digest,
    pub kind: ObjectKind,
    /// The size, if it is known: no other size is accepted.
    pub size: Option<u64>,
    /// The size as a caller or a registry claims it: used to choose how to fetch, never believed.
    pub size_hint: Option<u64>,
    pub media_type: Option<String>,
    /// The object's location at the registry.
    pub location: Location,
    pub credential: Credential,
    /// `share` URLs of peers that may hold the whole object, best first. They are tried before the registry.
    pub parents: Vec<String>,
    /// Seeds that relay the object from the registry when no parent holds it, best first.
    pub relays: Vec<String>,
    pub registry_allowed: bool,
    pub extent: Extent,
    /// How urgent the whole object is.
    pub class: Class,
    pub trace: Option<TraceContext>,
}

/// How much of an object to fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    #[default]
    Whole,
    /// Only the parts that are read, unless another reader needs the whole.
    Parts,
    /// The parts that are read first, then the rest.
    PartsFirst,
}

impl FetchSpec {
    pub(super) fn add_to(&self, needs: &Needs) {
        match self.extent {
            Extent::Whole => needs.need_whole(self.class),
            Extent::PartsFirst => needs.need_whole(Class::Prefetch),
            Extent::Parts => {}
        }
    }

    pub(crate) fn registry_source(&self) -> RegistrySource {
        RegistrySource {
            location: self.location.clone(),
            credential: self.credential.clone(),
            size_hint: self.size.or(self.size_hint),
            may_wait: self.class == Class::Preheat,
        }
    }

    /// Whether a new fetch by this spec may succeed where the one that `starter` started failed.
    pub(super) fn may_do_better(&self, starter: &Self, error: &FetchError) -> bool {
        if matches!(error, FetchError::Stopped { .. }) {
            return true;
        }
        let another_way_in = self.registry_allowed
            && (!starter.registry_allowed
                || error.side() == Side::Caller
                    && (self.credential != starter.credential || self.location != starter.location));
        let another_parent = self
            .parents
            .iter()
            .any(|parent| !starter.parents.contains(parent));
        let another_relay = self.relays.iter().any(|relay| !starter.relays.contains(relay));
        another_way_in || another_parent || another_relay
    }
}
