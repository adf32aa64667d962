//! Takes objects out of the store and remembers why.

use std::io;

use oci::Digest;

use super::blocking::off_thread;
use super::handle::{Store, StoreEvent};
use super::layout::remove_if_there;
use super::objects::IdleObject;
use super::removals::{Removal, RemovalReason};

impl Store {
    /// Removes an object and remembers why. Readers read on to its end. Returns whether it was here.
    pub async fn remove(&self, digest: &Digest, why: RemovalReason) -> io::Result<bool> {
        let (store, digest) = (self.clone(), digest.clone());
        off_thread(move || store.remove_now(&digest, why)).await
    }

    /// Objects that were removed for this reason since the store was opened.
    pub fn removed(&self, why: RemovalReason) -> u64 {
        self.0.objects.removed(why)
    }

    /// Removes an object, even one that is in use. Readers read on to its end. Returns whether it was here.
    /// Blocks.
    pub(super) fn remove_now(&self, digest: &Digest, why: RemovalReason) -> io::Result<bool> {
        let claims = self.0.claims.clone();
        // While this is locked, no fetch begins to write the object again.
        let _nobody_writes = claims.lock();
        let known = self.0.objects.remove(digest);
        self.remove_files(digest, known.then_some(why))?;
        Ok(known)
    }

    /// The same, unless the object is in use or being written. Blocks.
    pub(super) fn remove_idle(&self, idle: &IdleObject, why: RemovalReason) -> io::Result<bool> {
        let claims = self.0.claims.clone();
        let claimed = claims.lock();
        if claimed.contains(&idle.digest) || !self.0.objects.remove_idle(idle) {
            return Ok(false);
        }
        self.remove_files(&idle.digest, Some(why))?;
        Ok(true)
    }

    /// Removes the files. With a reason, records the removal and notifies listeners.
    fn remove_files(&self, digest: &Digest, why: Option<RemovalReason>) -> io::Result<()> {
        let removed = remove_if_there(&self.layout().sealed(digest))
            .and_then(|()| remove_if_there(&self.layout().sealed_chunks(digest)));
        self.0.index.forget_object(digest);
        if let Some(why) = why {
            self.0.objects.count_removal(why);
            let removal = Removal {
                at_unix_ms: self.now_ms(),
                why,
            };
            self.0.index.record_removal(digest, removal);
            // No listener is no fault.
            let _ = self.0.events.send(StoreEvent::Lost(digest.clone()));
        }
        removed
    }
}
