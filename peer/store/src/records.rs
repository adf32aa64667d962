//! What a store knows beside the bytes: who may read an object and where, what tags mean, notes, traces.
//!
//! The index keeps it over a restart. Losing the index loses this knowledge and no object.

use std::io;

use oci::{Digest, Location};
use wire::{PublicProof, Signed, TagMeaning, TagRecord, TraceContext};

use super::handle::{PARTIAL_FROM, Store};
use super::removals::Removal;

/// Note value for a partial object whose bytes come from several locations. No location has this text.
const MIXED: &[u8] = b"";

impl Store {
    /// When and why an object went that is not here any more; of very many, the last are remembered.
    pub fn removal(&self, digest: &Digest) -> Option<Removal> {
        self.0.index.removal(digest)
    }

    /// Keeps which span brought an object, for those who read it later.
    pub fn record_brought(&self, digest: &Digest, trace: &TraceContext) {
        self.0.index.record_brought(digest, trace);
    }

    /// The span that brought the object.
    pub fn brought(&self, digest: &Digest) -> Option<TraceContext> {
        self.0.index.brought(digest)
    }

    /// Notes that the object's bytes came from this location, proven by their digest.
    pub fn record_delivered(&self, digest: &Digest, location: &Location) {
        let now = (self.0.clock)();
        self.0.index.record_delivered(digest, location, now);
    }

    /// Whether this location is known to have delivered the object's bytes.
    pub fn has_delivered(&self, digest: &Digest, location: &Location) -> bool {
        self.0.index.has_delivered(digest, location)
    }

    /// Notes that bytes of this object are about to come from this location. Returns whether all of them do that have
    /// landed before; if not, nobody may take the partial object for this location's.
    pub fn partial_reads_from(&self, digest: &Digest, location: &Location) -> bool {
        let (name, text) = (digest.as_str(), location.to_string());
        let is_begun = self.0.objects.is_partial(digest);
        if is_begun && self.get_note(PARTIAL_FROM, name).as_deref() != Some(text.as_bytes()) {
            self.put_note(PARTIAL_FROM, name, MIXED);
            return false;
        }
        self.put_note(PARTIAL_FROM, name, text.as_bytes());
        true
    }

    /// Notes that anybody may read the object at this location, as the manager found at `found_ms` (Unix milliseconds).
    /// The caller has verified the proof. Of two, the newest holds.
    pub fn record_public(&self, digest: &Digest, location: &Location, found_ms: i64, proof: &PublicProof) {
        self.0.index.record_public(digest, location, found_ms, proof);
    }

    /// When the manager last found that anybody may read the object at this location (Unix milliseconds).
    pub fn public_at(&self, digest: &Digest, location: &Location) -> Option<i64> {
        self.0.index.public_at(digest, location)
    }

    /// What shows to other peers that anybody may read the object at this location.
    pub fn public_proof(&self, digest: &Digest, location: &Location) -> Option<PublicProof> {
        self.0.index.public_proof(digest, location)
    }

    /// Notes what a registry said that a tag means; of two records the one that was seen last holds. Other peers are
    /// never told of it.
    pub fn record_tag(&self, tag: &TagRecord) {
        self.0.index.record_tag(tag);
    }

    /// Notes what a tag means by the manager's signature, which the caller has verified. Of two, the newest holds.
    pub fn record_signed_tag(&self, record: &TagRecord, signed: &Signed<TagMeaning>) {
        self.0.index.record_signed_tag(record, signed);
    }

    /// What shows to other peers what a tag means.
    pub fn signed_tag(&self, location: &str, tag: &str) -> Option<Signed<TagMeaning>> {
        self.0.index.signed_tag(location, tag)
    }

    /// What a tag means: the newest record, signed or not.
    pub fn tag(&self, location: &str, tag: &str) -> Option<TagRecord> {
        self.0.index.tag(location, tag)
    }

    /// Keeps a small value over a restart. A table holds some thousand notes; beyond that, others go.
    pub fn put_note(&self, table: &str, key: &str, value: &[u8]) {
        self.0.index.put_note(table, key, value);
    }

    pub fn get_note(&self, table: &str, key: &str) -> Option<Vec<u8>> {
        self.0.index.get_note(table, key)
    }

    pub fn remove_note(&self, table: &str, key: &str) {
        self.0.index.remove_note(table, key);
    }

    /// Every note of a table, as (key, value).
    pub fn all_notes(&self, table: &str) -> Vec<(String, Vec<u8>)> {
        self.0.index.all_notes(table)
    }

    /// Waits until origins, tags and notes that were recorded before are on the disk.
    pub async fn flush(&self) -> io::Result<()> {
        self.0.index.flush().await
    }
}
