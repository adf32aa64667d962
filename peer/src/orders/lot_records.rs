//! The records that the manager signed for a lot: the meaning of the image's tag, and which objects are public.
//!
//! **Invariant:** records without the manager's signature are not kept. The lot is fetched without them.

use oci::{Digest, Location};
use tracing::warn;
use wire::Lot;

use crate::records::{Carrier, RecordError, Records, VerifiedPublicObjects, VerifiedTag};

/// The records of one lot. Each signature is verified once.
pub(super) struct LotRecords {
    image: String,
    tag: Option<VerifiedTag>,
    public: Option<VerifiedPublicObjects>,
}

impl LotRecords {
    pub(super) fn of(records: &Records, lot: &Lot) -> Self {
        let digests: Vec<&str> = lot.placements.iter().map(|order| order.digest.as_str()).collect();
        let tag = lot.tag.as_ref().map(|signed| records.verify_tag(signed));
        let public = lot
            .public
            .as_ref()
            .map(|signed| records.verify_public(signed, &digests));
        Self {
            image: lot.image.clone(),
            tag: tag.and_then(|verified| logged(&lot.image, verified)),
            public: public.and_then(|verified| logged(&lot.image, verified)),
        }
    }

    /// Keeps the records about this object, which is now held.
    pub(super) fn keep(&self, records: &Records, location: &Location, digest: &Digest) {
        if let Some(public) = &self.public {
            logged(&self.image, records.keep_public_of_lot(public, location, digest));
        }
        if let Some(tag) = self.tag.as_ref().filter(|tag| tag.digest() == digest.as_str()) {
            logged(&self.image, records.keep_tag(tag, location, Carrier::Manager));
        }
    }
}

/// Returns the record, or logs why it is refused.
fn logged<T>(image: &str, read: Result<T, RecordError>) -> Option<T> {
    if let Err(error) = &read {
        warn!(stoker.side = "manager", stoker.image = image, %error, "record of the manager refused");
    }
    read.ok()
}
