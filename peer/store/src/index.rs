//! What the objects' files do not say: where objects came from, who may read them, what tags mean, notes, which
//! trace fetched an object, what was removed.
//!
//! It is read from memory. One thread writes it to a redb file and commits all queued changes at once. Losing
//! the file loses this knowledge and no object. Writing never waits for the disk; [`Index::flush`] does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use oci::{Digest, Location};
use parking_lot::RwLock;
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::warn;
use wire::{PublicProof, Signed, TagMeaning, TagRecord, TraceContext};

use super::removals::{REMEMBERED, Removal, SLACK, surplus};

const ENTRIES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("entries");
/// Reads come from memory, so redb needs little cache.
const CACHE: usize = 2 * 1024 * 1024;
/// Changes that may wait for the disk.
const QUEUE: usize = 8 * 1024;
/// Changes in one commit.
const BATCH: usize = 1024;
/// Notes in one table.
const NOTES: usize = 10_000;

const DELIVERED: &str = "delivered";
const PUBLIC: &str = "signed-public";
/// Written by an older version, without a signature.
const UNSIGNED_PUBLIC: &str = "public";
/// Tag records from registries.
const TAGS: &str = "tag";
/// What the manager has signed.
const SIGNED_TAGS: &str = "signed-tag";
const NOTE: &str = "note";
const BROUGHT: &str = "brought";
const REMOVED: &str = "removed";

/// Locations that are remembered for one object. Beyond that, the oldest is dropped and proven again when
/// needed.
const LOCATIONS: usize = 512;

type Entries = BTreeMap<String, Box<[u8]>>;

pub(super) struct Index {
    entries: RwLock<Entries>,
    /// Removals that are remembered.
    removals: AtomicUsize,
    queue: Option<SyncSender<Change>>,
    writer: Option<JoinHandle<()>>,
}

/// What a tag means by the manager's signature, and the record that is passed on.
#[derive(Serialize, Deserialize)]
struct SignedTag {
    record: TagRecord,
    signed: Signed<TagMeaning>,
}

enum Change {
    Put(String, Box<[u8]>),
    Remove(String),
    Flush(oneshot::Sender<()>),
}

impl Index {
    /// Opens the file. Replaces one that cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (database, entries) = match load(path) {
            Ok(loaded) => loaded,
            Err(LoadError::InUse) => {
                let text = format!(
                    "store {} not opened: it is in use by another program; stop that program or give another folder",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(LoadError::Damaged(fault)) => {
                warn!(file = %path.display(), stoker.side = "peer", fault, "store index damaged, starting a new one; objects are kept");
                super::layout::remove_if_there(path)?;
                load(path).map_err(|error| io::Error::other(error.to_string()))?
            }
        };
        let (queue, changes) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("store-index".to_owned())
            .spawn(move || write_until_closed(&database, &changes))?;
        let below = key(&[REMOVED, ""]);
        let removals = entries.keys().filter(|key| key.starts_with(&below)).count();
        let index = Self {
            removals: AtomicUsize::new(removals),
            entries: RwLock::new(entries),
            queue: Some(queue),
            writer: Some(writer),
        };
        index.forget_unsigned();
        Ok(index)
    }

    /// Removes unsigned records of an older version: a seed may have sent them, so they do not count.
    fn forget_unsigned(&self) {
        for key in self.keys_below(&key(&[UNSIGNED_PUBLIC, ""])) {
            self.remove(key);
        }
    }

    pub(super) fn record_delivered(&self, digest: &Digest, location: &Location, at_ms: i64) {
        let below = key(&[DELIVERED, digest.as_str(), ""]);
        let name = format!("{below}{location}");
        if self.get(&name).is_some() {
            return;
        }
        let mut known = self.entries_below(&below);
        if known.len() >= LOCATIONS {
            known.sort_by_key(|(_, value)| read_time(value));
            for (oldest, _) in known.into_iter().take(1) {
                self.remove(oldest);
            }
        }
        self.put(name, &at_ms.to_be_bytes());
    }

    pub(super) fn has_delivered(&self, digest: &Digest, location: &Location) -> bool {
        self.get(&key(&[DELIVERED, digest.as_str(), &location.to_string()]))
            .is_some()
    }

    pub(super) fn record_public(
        &self,
        digest: &Digest,
        location: &Location,
        found_ms: i64,
        proof: &PublicProof,
    ) {
        if self
            .public_at(digest, location)
            .is_some_and(|known| known >= found_ms)
        {
            return;
        }
        let mut value = found_ms.to_be_bytes().to_vec();
        match serde_json::to_writer(&mut value, proof) {
            Ok(()) => {
                self.put(public_key(digest, location), &value);
            }
            Err(error) => warn!(%error, stoker.side = "peer", "public record not stored"),
        }
    }

    pub(super) fn public_at(&self, digest: &Digest, location: &Location) -> Option<i64> {
        let value = self.get(&public_key(digest, location))?;
        read_time(value.get(..TIME)?)
    }

    pub(super) fn public_proof(&self, digest: &Digest, location: &Location) -> Option<PublicProof> {
        let value = self.get(&public_key(digest, location))?;
        serde_json::from_slice(value.get(TIME..)?).ok()
    }

    /// Drops what is known of a removed object.
    pub(super) fn forget_object(&self, digest: &Digest) {
        for table in [DELIVERED, PUBLIC] {
            for key in self.keys_below(&key(&[table, digest.as_str(), ""])) {
                self.remove(key);
            }
        }
        self.remove(key(&[BROUGHT, digest.as_str()]));
    }

    /// Keeps the span that fetched the object.
    pub(super) fn record_brought(&self, digest: &Digest, trace: &TraceContext) {
        self.put(key(&[BROUGHT, digest.as_str()]), trace.as_str().as_bytes());
    }

    pub(super) fn brought(&self, digest: &Digest) -> Option<TraceContext> {
        let value = self.get(&key(&[BROUGHT, digest.as_str()]))?;
        TraceContext::parse(std::str::from_utf8(&value).ok()?)
    }

    /// Records a removal. Beyond a limit, the oldest are dropped.
    pub(super) fn record_removal(&self, digest: &Digest, removal: Removal) {
        if self.put(key(&[REMOVED, digest.as_str()]), &removal.to_bytes()) {
            self.removals.fetch_add(1, Ordering::Relaxed);
        }
        if self.removals.load(Ordering::Relaxed) > REMEMBERED + SLACK {
            let remembered = self.entries_below(&key(&[REMOVED, ""]));
            for key in surplus(remembered) {
                self.remove_removal(key);
            }
        }
    }

    pub(super) fn removal(&self, digest: &Digest) -> Option<Removal> {
        Removal::from_bytes(&self.get(&key(&[REMOVED, digest.as_str()]))?)
    }

    /// Drops the record of a removal: the object is here again.
    pub(super) fn forget_removal(&self, digest: &Digest) {
        self.remove_removal(key(&[REMOVED, digest.as_str()]));
    }

    fn remove_removal(&self, key: String) {
        if self.remove(key) {
            self.removals.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn record_tag(&self, tag: &TagRecord) {
        let newer = |known: TagRecord| known.seen_unix_ms > tag.seen_unix_ms;
        if !self.own_tag(&tag.location, &tag.tag).is_some_and(newer) {
            self.put_tag(TAGS, tag, tag);
        }
    }

    pub(super) fn record_signed_tag(&self, record: &TagRecord, signed: &Signed<TagMeaning>) {
        let newer = |known: SignedTag| known.record.seen_unix_ms >= record.seen_unix_ms;
        if !self.manager_tag(&record.location, &record.tag).is_some_and(newer) {
            let value = SignedTag {
                record: record.clone(),
                signed: signed.clone(),
            };
            self.put_tag(SIGNED_TAGS, record, &value);
        }
    }

    fn put_tag(&self, table: &str, tag: &TagRecord, value: &impl Serialize) {
        match serde_json::to_vec(value) {
            Ok(value) => {
                self.put(key(&[table, &tag.location, &tag.tag]), &value);
            }
            Err(error) => warn!(%error, stoker.side = "peer", "tag record not stored"),
        }
    }

    /// The newest of the registry's own records and the manager's signed one.
    pub(super) fn tag(&self, location: &str, tag: &str) -> Option<TagRecord> {
        let signed = self.manager_tag(location, tag).map(|signed| signed.record);
        let known = self.own_tag(location, tag).into_iter().chain(signed);
        known.max_by_key(|record| record.seen_unix_ms)
    }

    pub(super) fn signed_tag(&self, location: &str, tag: &str) -> Option<Signed<TagMeaning>> {
        self.manager_tag(location, tag).map(|tag| tag.signed)
    }

    fn own_tag(&self, location: &str, tag: &str) -> Option<TagRecord> {
        let value = self.get(&key(&[TAGS, location, tag]))?;
        serde_json::from_slice(&value).ok()
    }

    fn manager_tag(&self, location: &str, tag: &str) -> Option<SignedTag> {
        let value = self.get(&key(&[SIGNED_TAGS, location, tag]))?;
        serde_json::from_slice(&value).ok()
    }

    /// What a tag means at each location for which `is_it` holds.
    pub(super) fn tag_wherever(&self, tag: &str, is_it: impl Fn(&Location) -> bool) -> Vec<Digest> {
        let locations: BTreeSet<String> = [TAGS, SIGNED_TAGS]
            .into_iter()
            .flat_map(|table| self.keys_below(&key(&[table, ""])))
            .filter_map(|name| match name.split('\0').collect::<Vec<_>>()[..] {
                [_, location, named] if named == tag => Some(location.to_owned()),
                _ => None,
            })
            .filter(|location| location.parse().is_ok_and(|at| is_it(&at)))
            .collect();
        let records = locations.iter().filter_map(|location| self.tag(location, tag));
        records.filter_map(|record| record.digest.parse().ok()).collect()
    }

    pub(super) fn put_note(&self, table: &str, name: &str, value: &[u8]) {
        let key_of_note = key(&[NOTE, table, name]);
        // The tables with many notes have hashes as keys, so the first key is a random one.
        if self.len() >= NOTES && self.get(&key_of_note).is_none() {
            let others = self.keys_below(&key(&[NOTE, table, ""]));
            let too_many = (others.len() + 1).saturating_sub(NOTES);
            for other in others.into_iter().take(too_many) {
                self.remove(other);
            }
        }
        self.put(key_of_note, value);
    }

    pub(super) fn get_note(&self, table: &str, name: &str) -> Option<Vec<u8>> {
        self.get(&key(&[NOTE, table, name])).map(Vec::from)
    }

    pub(super) fn remove_note(&self, table: &str, name: &str) {
        self.remove(key(&[NOTE, table, name]));
    }

    pub(super) fn all_notes(&self, table: &str) -> Vec<(String, Vec<u8>)> {
        let below = key(&[NOTE, table, ""]);
        self.keys_below(&below)
            .into_iter()
            .filter_map(|full| {
                let name = full.strip_prefix(&below)?.to_owned();
                Some((name, self.get(&full)?.into()))
            })
            .collect()
    }

    pub(super) async fn flush(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.send(Change::Flush(done));
        wait.await
            .map_err(|_| io::Error::other("the store's index could not be written"))
    }

    fn len(&self) -> usize {
        self.entries.read().len()
    }

    fn get(&self, key: &str) -> Option<Box<[u8]>> {
        self.entries.read().get(key).cloned()
    }

    fn keys_below(&self, below: &str) -> Vec<String> {
        self.entries
            .read()
            .range::<str, _>((Bound::Included(below), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(below))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn entries_below(&self, below: &str) -> Vec<(String, Box<[u8]>)> {
        self.entries
            .read()
            .range::<str, _>((Bound::Included(below), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(below))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Stores a value. Returns whether the key is new. The change is queued under the lock, so that disk and
    /// memory see changes in the same order.
    fn put(&self, key: String, value: &[u8]) -> bool {
        let mut entries = self.entries.write();
        let is_new = entries.insert(key.clone(), value.into()).is_none();
        self.send(Change::Put(key, value.into()));
        is_new
    }

    /// Removes a key. Returns whether it was there.
    fn remove(&self, key: String) -> bool {
        let mut entries = self.entries.write();
        let was_there = entries.remove(&key).is_some();
        if was_there {
            self.send(Change::Remove(key));
        }
        was_there
    }

    fn send(&self, change: Change) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(change) {
            warn!(
                stoker.side = "peer",
                "store index queue full: a change is lost at the next start"
            );
        }
    }
}

impl Drop for Index {
    /// Writes what is queued and unlocks the file before the store is gone.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Joins the parts of a key. No part contains a NUL: names from registries are validated.
fn key(parts: &[&str]) -> String {
    parts.join("\0")
}

fn public_key(digest: &Digest, location: &Location) -> String {
    key(&[PUBLIC, digest.as_str(), &location.to_string()])
}

/// Length of a time in bytes.
const TIME: usize = size_of::<i64>();

/// Unix milliseconds.
fn read_time(value: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(value.try_into().ok()?))
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("in use by another program")]
    InUse,
    #[error("{0}")]
    Damaged(String),
}

/// A damaged file may make redb panic. That counts as damage too.
fn load(path: &Path) -> Result<(Database, Entries), LoadError> {
    catch_unwind(AssertUnwindSafe(|| read_all(path)))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("reading it panicked".to_owned())))
        .map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => LoadError::InUse,
            other => LoadError::Damaged(other.to_string()),
        })
}

fn read_all(path: &Path) -> Result<(Database, Entries), redb::Error> {
    let database = Database::builder()
        .set_cache_size(CACHE)
        .create(path)
        .map_err(|error: DatabaseError| redb::Error::from(error))?;
    let making = database.begin_write()?;
    making.open_table(ENTRIES)?;
    making.commit()?;
    let reading = database.begin_read()?;
    let mut entries = Entries::new();
    for entry in reading.open_table(ENTRIES)?.iter()? {
        let (key, value) = entry?;
        entries.insert(key.value().to_owned(), value.value().into());
    }
    drop(reading);
    Ok((database, entries))
}

fn write_until_closed(database: &Database, changes: &Receiver<Change>) {
    while let Ok(first) = changes.recv() {
        let batch: Vec<Change> = std::iter::once(first)
            .chain(std::iter::from_fn(|| changes.try_recv().ok()).take(BATCH - 1))
            .collect();
        match commit(database, &batch) {
            Ok(()) => confirm_flushes(batch),
            Err(error) => {
                warn!(%error, stoker.side = "peer", "store index not written: changes are lost at the next start");
            }
        }
    }
}

fn commit(database: &Database, batch: &[Change]) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut table = writing.open_table(ENTRIES)?;
        for change in batch {
            match change {
                Change::Put(key, value) => drop(table.insert(key.as_str(), value.as_ref())?),
                Change::Remove(key) => drop(table.remove(key.as_str())?),
                Change::Flush(_) => {}
            }
        }
    }
    writing.commit()?;
    Ok(())
}

fn confirm_flushes(batch: Vec<Change>) {
    for change in batch {
        if let Change::Flush(done) = change {
            // The caller may be gone.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_locations_grant_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("index.redb");
        let digest = Digest::of(b"a layer");
        let index = Index::open(&path).expect("an index");
        let old_tag = br#"{"registry":"registry.lan","repository":"a","tag":"v1","digest":"sha256:00","media_type":"","seen_unix_ms":1}"#;
        index.put(key(&["origin", digest.as_str(), "registry.lan", "a"]), &[1]);
        index.put(key(&[TAGS, "registry.lan", "a", "v1"]), old_tag);
        drop(index);
        let index = Index::open(&path).expect("the same index");
        let here: Location = "https://registry.lan/v2/a".parse().expect("a location");
        assert_eq!(index.public_at(&digest, &here), None);
        assert!(!index.has_delivered(&digest, &here));
        assert_eq!(index.tag(&here.to_string(), "v1"), None);
        assert!(index.tag_wherever("v1", |_| true).is_empty());
    }

    #[test]
    fn unsigned_public_records_are_removed_after_an_upgrade() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("index.redb");
        let (digest, here) = (Digest::of(b"a layer"), "https://registry.lan/v2/a");
        let index = Index::open(&path).expect("an index");
        let name = key(&[UNSIGNED_PUBLIC, digest.as_str(), here]);
        index.put(name.clone(), &1_i64.to_be_bytes());
        drop(index);
        let index = Index::open(&path).expect("the same index");
        let here: Location = here.parse().expect("a location");
        assert_eq!(index.public_at(&digest, &here), None);
        assert_eq!(index.public_proof(&digest, &here), None);
        assert_eq!(index.get(&name), None);
    }
}
