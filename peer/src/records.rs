//! Decides which records that the manager has signed count at this peer: what a tag means, and what anybody may read.
//!
//! **Invariant:** a record from another peer counts only with the signature of this peer's manager, for this peer's
//! cluster, for exactly the location and the object or tag that was asked about, and not before its time. The newest
//! counts. A seed that carried it is not believed.

use oci::{Digest, Location, Registries};
use store::Store;
use wire::{NotSigned, PublicObjects, PublicProof, Signed, TagMeaning, TagRecord};

use crate::membership::Membership;

/// How far the manager's clock may be ahead of this peer's.
const CLOCK_AHEAD_MS: i64 = 5 * 60 * 1_000;

/// Verifies records and keeps those that count. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Records {
    membership: Membership,
    store: Store,
    registries: Registries,
}

/// How a record came here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carrier {
    /// In a lot, over the manager's own port.
    Manager,
    /// From another peer, which may have waited for its time; this peer's clock says this (Unix milliseconds).
    Peer { now_ms: i64 },
}

/// Why a record counts for nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Disbelieved {
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    #[error("it is for peers of another cluster")]
    OtherCluster,
    #[error("it is about something else than what was asked")]
    NotAsked,
    #[error("its time lies in the future: look at the clocks of the manager and of this peer")]
    Future,
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
    ) -> Result<(), Disbelieved> {
        let TagMeaning { cluster, record } = self.membership.verify(signed)?;
        self.check_place(&cluster, &record.location, location)?;
        if record.tag != tag || record.digest.parse::<Digest>().is_err() {
            return Err(Disbelieved::NotAsked);
        }
        check_time(record.seen_unix_ms, carrier)?;
        let location = location.to_string();
        let record = TagRecord { location, ..record };
        self.store.record_signed_tag(&record, signed);
        Ok(())
    }

    /// Keeps that anybody may read the object at this location, if the proof counts.
    pub(crate) fn learn_public(
        &self,
        proof: &PublicProof,
        location: &Location,
        digest: &Digest,
        carrier: Carrier,
    ) -> Result<(), Disbelieved> {
        let key = self.membership.signing_key();
        let record = proof.verify(&key, digest.as_str())?;
        self.check_place(&record.cluster, &record.location, location)?;
        check_time(record.found_unix_ms, carrier)?;
        self.store
            .record_public(digest, location, record.found_unix_ms, proof);
        Ok(())
    }

    /// What the manager signed in a lot about its image's tag.
    pub(crate) fn read_tag(&self, signed: &Signed<TagMeaning>) -> Result<TagMeaning, Disbelieved> {
        Ok(self.membership.verify(signed)?)
    }

    /// The proof for each object of a lot, in its order; none if the record does not cover exactly these.
    pub(crate) fn public_proofs(
        &self,
        signed: &Signed<PublicObjects>,
        digests: &[&str],
    ) -> Result<Vec<PublicProof>, Disbelieved> {
        let record = self.membership.verify(signed)?;
        let proofs = PublicProof::each(signed, &record, digests);
        if proofs.len() == digests.len() {
            Ok(proofs)
        } else {
            Err(Disbelieved::NotAsked)
        }
    }

    /// A location is compared under the names that this peer's own file gives registries. No scheme is ever raised to HTTPS.
    fn check_place(&self, cluster: &str, named: &str, asked: &Location) -> Result<(), Disbelieved> {
        if cluster != self.membership.identity().cluster.as_str() {
            return Err(Disbelieved::OtherCluster);
        }
        let named = named.parse::<Location>().map_err(|_| Disbelieved::NotAsked)?;
        let origin = self.registries.canonical_origin(&named.origin);
        if origin.at(named.repository) == *asked {
            Ok(())
        } else {
            Err(Disbelieved::NotAsked)
        }
    }
}

fn check_time(said_ms: i64, carrier: Carrier) -> Result<(), Disbelieved> {
    match carrier {
        Carrier::Peer { now_ms } if said_ms > now_ms.saturating_add(CLOCK_AHEAD_MS) => {
            Err(Disbelieved::Future)
        }
        Carrier::Peer { .. } | Carrier::Manager => Ok(()),
    }
}

#[cfg(test)]
mod tests;
