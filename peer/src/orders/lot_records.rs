//! What the manager signed about a lot: what the image's tag meant, and that anybody may read its objects.
//!
//! **Invariant:** what does not bear the manager's signature is not kept. The lot itself is worked on all the same.

use std::collections::HashMap;

use oci::{Digest, Location};
use tracing::warn;
use wire::{Lot, PublicProof, Signed, TagMeaning};

use crate::records::{Carrier, Disbelieved, Records};

/// The records of one lot, read once.
pub(super) struct LotRecords {
    image: String,
    tag: Option<(TagMeaning, Signed<TagMeaning>)>,
    public: HashMap<String, PublicProof>,
}

impl LotRecords {
    pub(super) fn of(records: &Records, lot: &Lot) -> Self {
        let tag = lot.tag.as_ref().and_then(|signed| {
            let meaning = told(&lot.image, records.read_tag(signed))?;
            Some((meaning, signed.clone()))
        });
        let digests: Vec<&str> = lot.placements.iter().map(|order| order.digest.as_str()).collect();
        let proofs = lot
            .public
            .as_ref()
            .and_then(|signed| told(&lot.image, records.public_proofs(signed, &digests)));
        let named = digests.into_iter().map(str::to_owned);
        Self {
            image: lot.image.clone(),
            tag,
            public: named.zip(proofs.unwrap_or_default()).collect(),
        }
    }

    /// Keeps what they say of this object, which is held now.
    pub(super) fn keep(&self, records: &Records, location: &Location, digest: &Digest) {
        if let Some(proof) = self.public.get(digest.as_str()) {
            told(
                &self.image,
                records.learn_public(proof, location, digest, Carrier::Manager),
            );
        }
        if let Some((TagMeaning { record, .. }, signed)) = &self.tag
            && record.digest == digest.as_str()
        {
            told(
                &self.image,
                records.learn_tag(signed, location, &record.tag, Carrier::Manager),
            );
        }
    }
}

/// Logs why a record of the manager does not count.
fn told<T>(image: &str, read: Result<T, Disbelieved>) -> Option<T> {
    if let Err(why) = &read {
        warn!(stoker.side = "manager", stoker.image = image, %why, "record of the manager refused");
    }
    read.ok()
}
