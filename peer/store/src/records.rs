//! What a store knows beside the bytes: who may read an object and where, what tags mean, notes, traces.
//!
//! The index keeps it over a restart. Losing the index loses this knowledge and no object.

use std::io;

use oci::{Digest, Location};
use wire::{PublicProof, Signed, TagMeaning, TagRecord, TraceContext};

use super::handle::{PARTIAL_FROM, Store};
use super::removals::Removal;

/// Note value for a partial object whose bytes are from several locations. No location has this text.
const MIXED: &[u8] = b"";

impl Store {
    /// When and why an object was removed. Only the latest removals are remembered.
    pub fn removal(&self, digest: &Digest) -> Option<Removal> {
        self.0.index.removal(digest)
    }

    /// Keeps the span that fetched an object, so that later readers can link to it.
    pub fn record_brought(&self, digest: &Digest, trace: &TraceContext) {
        self.0.index.record_brought(digest, trace);
    }

    /// The span that fetched the object.
    pub fn brought(&self, digest: &Digest) -> Option<TraceContext> {
        self.0.index.brought(digest)
    }

    /// Records that this location sent the object's bytes, proven by their digest.
    pub fn record_delivered(&self, digest: &Digest, location: &Location) {
        let now = (self.0.clock)();
        self.0.index.record_delivered(digest, location, now);
    }

    /// Whether this location has delivered the object.
    pub fn has_delivered(&self, digest: &Digest, location: &Location) -> bool {
        self.0.index.has_delivered(digest, location)
    }

    /// Records that the next bytes of this object are from this location. Returns whether all bytes that
    /// landed before are from there too. If not, the partial object must not be read as this location's.
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

    /// Records that anybody may read the object at this location, as the manager found at `found_ms` (Unix
    /// milliseconds). The caller has verified the proof. The newest record counts.
    pub fn record_public(&self, digest: &Digest, location: &Location, found_ms: i64, proof: &PublicProof) {
        self.0.index.record_public(digest, location, found_ms, proof);
    }

    /// When the manager last found that anybody may read the object at this location (Unix milliseconds).
    pub fn public_at(&self, digest: &Digest, location: &Location) -> Option<i64> {
        self.0.index.public_at(digest, location)
    }

    /// The proof for other peers that anybody may read the object at this location.
    pub fn public_proof(&self, digest: &Digest, location: &Location) -> Option<PublicProof> {
        self.0.index.public_proof(digest, location)
    }

    /// Records what a tag meant at a registry. The record that was seen last counts. It is not passed on to
    /// other peers.
    pub fn record_tag(&self, tag: &TagRecord) {
        self.0.index.record_tag(tag);
    }

    /// Records what a tag means by the manager's signature, which the caller has verified. The newest record
    /// counts.
    pub fn record_signed_tag(&self, record: &TagRecord, signed: &Signed<TagMeaning>) {
        self.0.index.record_signed_tag(record, signed);
    }

    /// The signed record of a tag, for other peers.
    pub fn signed_tag(&self, location: &str, tag: &str) -> Option<Signed<TagMeaning>> {
        self.0.index.signed_tag(location, tag)
    }

    /// The newest record of a tag, signed or not.
    pub fn tag(&self, location: &str, tag: &str) -> Option<TagRecord> {
        self.0.index.tag(location, tag)
    }

    /// Keeps a small value over a restart. A table holds 10,000 notes; beyond that, others are dropped.
    pub fn put_note(&self, table: &str, key: &str, value: &[u8]) {
        self.0.index.put_note(table, key, value);
    }

    pub fn get_note(&self, table: &str, key: &str) -> Option<Vec<u8>> {
        self.0.index.get_note(table, key)
    }

    pub fn remove_note(&self, table: &str, key: &str) {
        self.0.index.remove_note(table, key);
    }

    /// All notes of a table, as (key, value).
    pub fn all_notes(&self, table: &str) -> Vec<(String, Vec<u8>)> {
        self.0.index.all_notes(table)
    }

    /// Waits until all records and notes so far are on the disk.
    pub async fn flush(&self) -> io::Result<()> {
        self.0.index.flush().await
    }
}
