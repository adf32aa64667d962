//! What is fetched, and where it may come from.

use oci::{Credential, Digest, Location};
use wire::{ObjectKind, Side, TraceContext};

use super::error::FetchError;
use super::needs::Needs;
use crate::limits::Class;
use crate::source::RegistrySource;

/// An object, and where it may come from.
#[derive(Debug, Clone)]
pub struct FetchSpec {
    pub digest: Digest,
    pub kind: ObjectKind,
    /// When it is known beforehand, no other size is taken.
    pub size: Option<u64>,
    /// What a caller or a registry has said of the size: good for choosing a way, and never believed.
    pub size_hint: Option<u64>,
    pub media_type: Option<String>,
    /// Where the registry has it.
    pub location: Location,
    pub credential: Credential,
    /// `share` URLs of peers that may have the object whole, best first. They are asked before the registry.
    pub parents: Vec<String>,
    /// Seeds that fetch it from the registry for us when no parent has it, best first.
    pub relays: Vec<String>,
    pub registry_allowed: bool,
    pub extent: Extent,
    /// How urgent the whole is.
    pub class: Class,
    pub trace: Option<TraceContext>,
}

/// How much of an object is to be fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    #[default]
    Whole,
    /// What is read of it, and no more, unless somebody else wants the whole.
    Parts,
    /// What is read of it, then the rest.
    PartsFirst,
}

impl FetchSpec {
    pub(super) fn add_to(&self, needs: &Needs) {
        match self.extent {
            Extent::Whole => needs.want_whole(self.class),
            Extent::PartsFirst => needs.want_whole(Class::Prefetch),
            Extent::Parts => {}
        }
    }

    pub(crate) fn registry_source(&self) -> RegistrySource {
        RegistrySource {
            location: self.location.clone(),
            credential: self.credential.clone(),
            size_hint: self.size.or(self.size_hint),
        }
    }

    /// Whether a fetch of one's own may succeed where the one that `starter` started failed.
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
