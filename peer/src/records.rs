//! Decides which records of the manager count at this peer: tag meanings, and public objects.
//!
//! **Invariant:** a record counts only with the signature of this peer's manager, for this peer's cluster, and for exactly
//! the location and the tag or object in question. From another peer, it must also not be dated in the future. The newest
//! counts. The peer that carried it is not trusted.

use std::collections::HashMap;

use oci::{Digest, Location, Registries};
use store::Store;
use wire::{NotSigned, PublicObjects, PublicProof, Signed, TagMeaning, TagRecord};

use crate::membership::Membership;

/// How far the manager's clock may be ahead of ours.
const CLOCK_AHEAD_MS: i64 = 5 * 60 * 1_000;

/// Verifies records and keeps those that count. Clones share one state.
#[derive(Clone)]
pub(crate) struct Records {
    membership: Membership,
    store: Store,
    registries: Registries,
}

/// A tag's meaning whose signature was verified.
pub(crate) struct VerifiedTag {
    meaning: TagMeaning,
    signed: Signed<TagMeaning>,
}

/// Public objects of a lot, whose signature was verified, with the proof of each.
pub(crate) struct VerifiedPublicObjects {
    record: PublicObjects,
    proofs: HashMap<String, PublicProof>,
}

impl VerifiedTag {
    pub(crate) fn digest(&self) -> &str {
        &self.meaning.record.digest
    }
}

/// Who sent a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carrier {
    /// In a lot, over the manager's own port.
    Manager,
    /// From another peer. `now_ms` is our clock (Unix milliseconds).
    Peer { now_ms: i64 },
}

/// Why a record does not count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    #[error("the record is for another cluster")]
    OtherCluster,
    #[error("the record is about another location, tag or object")]
    OtherSubject,
    #[error("the record is dated in the future: check the clocks of the manager and of this peer")]
    FromFuture,
}

impl Records {
    pub(crate) fn new(membership: Membership, store: Store, registries: Registries) -> Self {
        Self {
            membership,
            store,
            registries,
        }
    }

    /// Keeps what the tag means at this location, if the record counts.
    pub(crate) fn learn_tag(
        &self,
        signed: &Signed<TagMeaning>,
        location: &Location,
        tag: &str,
        carrier: Carrier,
    ) -> Result<(), RecordError> {
        let verified = self.verify_tag(signed)?;
        if verified.meaning.record.tag != tag {
            return Err(RecordError::OtherSubject);
        }
        self.keep_tag(&verified, location, carrier)
    }

    /// Keeps what a verified record says of its tag at this location.
    pub(crate) fn keep_tag(
        &self,
        verified: &VerifiedTag,
        location: &Location,
        carrier: Carrier,
    ) -> Result<(), RecordError> {
        let TagMeaning { cluster, record } = &verified.meaning;
        self.check_location(cluster, &record.location, location)?;
        if record.digest.parse::<Digest>().is_err() {
            return Err(RecordError::OtherSubject);
        }
        check_time(record.seen_unix_ms, carrier)?;
        let record = TagRecord {
            location: location.to_string(),
            ..record.clone()
        };
        self.store.record_signed_tag(&record, &verified.signed);
        Ok(())
    }

    /// Keeps that anybody may read the object at this location, if the proof counts.
    pub(crate) fn learn_public(
        &self,
        proof: &PublicProof,
        location: &Location,
        digest: &Digest,
        carrier: Carrier,
    ) -> Result<(), RecordError> {
        let key = self.membership.signing_key();
        let record = proof.verify(&key, digest.as_str())?;
        check_time(record.found_unix_ms, carrier)?;
        self.keep_public(&record, proof, location, digest)
    }

    /// Keeps that anybody may read this object of a verified lot.
    pub(crate) fn keep_public_of_lot(
        &self,
        verified: &VerifiedPublicObjects,
        location: &Location,
        digest: &Digest,
    ) -> Result<(), RecordError> {
        let proof = verified.proofs.get(digest.as_str());
        let proof = proof.ok_or(RecordError::OtherSubject)?;
        self.keep_public(&verified.record, proof, location, digest)
    }

    fn keep_public(
        &self,
        record: &PublicObjects,
        proof: &PublicProof,
        location: &Location,
        digest: &Digest,
    ) -> Result<(), RecordError> {
        self.check_location(&record.cluster, &record.location, location)?;
        self.store
            .record_public(digest, location, record.found_unix_ms, proof);
        Ok(())
    }

    pub(crate) fn verify_tag(&self, signed: &Signed<TagMeaning>) -> Result<VerifiedTag, RecordError> {
        Ok(VerifiedTag {
            meaning: self.membership.verify(signed)?,
            signed: signed.clone(),
        })
    }

    /// Verifies the signature once for all objects of a lot. Fails if the record does not cover exactly these.
    pub(crate) fn verify_public(
        &self,
        signed: &Signed<PublicObjects>,
        digests: &[&str],
    ) -> Result<VerifiedPublicObjects, RecordError> {
        let record = self.membership.verify(signed)?;
        let proofs = PublicProof::each(signed, &record, digests);
        if proofs.len() != digests.len() {
            return Err(RecordError::OtherSubject);
        }
        let digests = digests.iter().map(|digest| (*digest).to_owned());
        Ok(VerifiedPublicObjects {
            record,
            proofs: digests.zip(proofs).collect(),
        })
    }

    /// Compares locations under the canonical names of this peer's own configuration. The scheme is never changed to HTTPS.
    fn check_location(&self, cluster: &str, named: &str, expected: &Location) -> Result<(), RecordError> {
        if cluster != self.membership.identity().cluster.as_str() {
            return Err(RecordError::OtherCluster);
        }
        let named = named.parse::<Location>().map_err(|_| RecordError::OtherSubject)?;
        let origin = self.registries.canonical_origin(&named.origin);
        if origin.at(named.repository) == *expected {
            Ok(())
        } else {
            Err(RecordError::OtherSubject)
        }
    }
}

fn check_time(said_ms: i64, carrier: Carrier) -> Result<(), RecordError> {
    match carrier {
        Carrier::Peer { now_ms } if said_ms > now_ms.saturating_add(CLOCK_AHEAD_MS) => {
            Err(RecordError::FromFuture)
        }
        Carrier::Peer { .. } | Carrier::Manager => Ok(()),
    }
}

#[cfg(test)]
mod tests;
