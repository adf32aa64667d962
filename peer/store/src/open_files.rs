//! Files of sealed objects that stay open between readers: opening a file costs a reader more than reading a
//! small object.
//!
//! **Invariant:** an open file belongs to the entry of its object. When the object and its last reader are
//! gone, the file is closed and its space is free. Beyond [`KEPT`] files, those that were opened first are
//! closed.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use super::blocking::off_thread;

/// Files that stay open without a reader.
const KEPT: usize = 512;

/// Holds the open file of one object.
#[derive(Debug, Default)]
pub(super) struct FileSlot(Mutex<Option<Arc<File>>>);

/// The slots that have a file, in the order in which they got it.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenFiles(Arc<Mutex<VecDeque<Weak<FileSlot>>>>);

impl OpenFiles {
    /// Returns the file of this slot. Opens it if needed.
    pub(super) async fn open(&self, slot: &Arc<FileSlot>, path: PathBuf) -> io::Result<Arc<File>> {
        if let Some(file) = slot.get() {
            return Ok(file);
        }
        let file = Arc::new(off_thread(move || File::open(path)).await?);
        slot.put(Some(file.clone()));
        self.remember(slot);
        Ok(file)
    }

    fn remember(&self, slot: &Arc<FileSlot>) {
        let mut slots = self.0.lock();
        slots.push_back(Arc::downgrade(slot));
        let surplus = slots.len().saturating_sub(KEPT);
        for oldest in slots.drain(..surplus).filter_map(|slot| slot.upgrade()) {
            oldest.put(None);
        }
    }
}

impl FileSlot {
    fn get(&self) -> Option<Arc<File>> {
        self.0.lock().clone()
    }

    fn put(&self, file: Option<Arc<File>>) {
        *self.0.lock() = file;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_opened_once_and_closed_after_many_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("object");
        std::fs::write(&path, "bytes").expect("written");
        let (files, slot) = (OpenFiles::default(), Arc::new(FileSlot::default()));
        let first = files.open(&slot, path.clone()).await.expect("opened");
        let again = files.open(&slot, path.clone()).await.expect("opened");
        assert!(Arc::ptr_eq(&first, &again));
        let others: Vec<Arc<FileSlot>> = (0..KEPT).map(|_| Arc::default()).collect();
        for other in &others {
            files.open(other, path.clone()).await.expect("opened");
        }
        assert!(slot.get().is_none());
        assert!(others[0].get().is_some());
    }

    #[tokio::test]
    async fn the_file_of_a_removed_object_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("object");
        std::fs::write(&path, "bytes").expect("written");
        let (files, slot) = (OpenFiles::default(), Arc::new(FileSlot::default()));
        let file = Arc::downgrade(&files.open(&slot, path).await.expect("opened"));
        drop(slot);
        assert!(file.upgrade().is_none());
    }
}
