//! Refuses images that are blocked at the manager, whatever their registry allows.
//!
//! **Invariant:** blocks are checked before access, and again when a tag was resolved to a digest.

use http::StatusCode;
use oci::{Digest, RegistryName, TagOrDigest};
use wire::{RuledImage, Side};

use super::path::RequestedObject;
use super::state::Front;
use crate::access::{Caller, Refusal};

impl Front {
    pub(super) fn unless_blocked(&self, caller: &Caller, asked: &RequestedObject) -> Result<(), Refusal> {
        match asked {
            RequestedObject::Blob(digest) | RequestedObject::Manifest(TagOrDigest::Digest(digest)) => {
                self.unless_blocked_digest(digest)
            }
            RequestedObject::Manifest(TagOrDigest::Tag(tag)) => {
                let is_it = |image: &RuledImage| {
                    image.tag.as_deref() == Some(tag.as_str())
                        && image.repository == caller.location().repository.as_str()
                        && self.is_same_registry(&image.registry, caller.location().registry())
                };
                refused(self.store.blocked_by_name(is_it))
            }
        }
    }

    pub(super) fn unless_blocked_digest(&self, digest: &Digest) -> Result<(), Refusal> {
        refused(self.store.blocked(digest))
    }

    fn is_same_registry(&self, named: &str, asked: &RegistryName) -> bool {
        let registries = self.neighbours.registries();
        named
            .parse()
            .is_ok_and(|named| registries.canonical(&named) == registries.canonical(asked))
    }
}

fn refused(blocked: Option<String>) -> Result<(), Refusal> {
    match blocked {
        Some(text) => Err(Refusal::Status(
            StatusCode::FORBIDDEN,
            "DENIED",
            text,
            Side::Caller,
        )),
        None => Ok(()),
    }
}
