//! Opens a store: locks its index, then reads its folders.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tokio::sync::broadcast;

use super::claims::WriteClaims;
use super::handle::{Clock, Store, StoreInner};
use super::index::Index;
use super::known_rules::RulesCell;
use super::layout::Layout;
use super::limits::StoreLimits;
use super::objects::Objects;
use super::open_files::OpenFiles;
use super::promises::RoomKeeper;
use super::recover;
use super::removals::{Removal, RemovalReason};

/// Events that a listener may be behind. One that is further behind reads the whole list.
const EVENTS: usize = 1024;

impl Store {
    /// The same as [`Self::open_with`] with the machine's clock and the disk as the only limit.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let clock = Box::new(process::clock::unix_ms);
        Self::open_with(dir, StoreLimits::default(), clock)
    }

    /// Opens the store in the folder `dir`, or makes it. Reads names and sizes, not bytes.
    pub fn open_with(dir: &Path, limits: StoreLimits, clock: Clock) -> io::Result<Self> {
        let layout = Layout::new(dir);
        layout.make()?;
        // First, because opening it takes the lock: a second program on this folder stops here.
        let index = Index::open(&layout.index())?;
        let found = recover::sealed_objects(&layout, clock() / 1_000)?;
        let partial = recover::sweep_partials(&layout)?;
        let objects = Objects::new(found.whole, partial);
        for digest in &found.damaged {
            objects.count_removal(RemovalReason::Damaged);
            index.forget_object(digest);
            index.record_removal(digest, Removal::now(RemovalReason::Damaged));
        }
        Ok(Self(Arc::new(StoreInner {
            layout,
            objects,
            rules: RulesCell::open(&index),
            index,
            events: broadcast::channel(EVENTS).0,
            claims: WriteClaims::default(),
            open_files: OpenFiles::default(),
            room: RoomKeeper::new(limits),
            catalog_written: AtomicI64::default(),
            clock,
        })))
    }
}
