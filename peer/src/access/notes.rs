//! Small values that outlive the process, by name.

use store::Store;

/// A table of notes.
pub(crate) trait Notes: Send + Sync {
    fn put(&self, name: &str, value: &[u8]);
    fn remove(&self, name: &str);
    fn all(&self) -> Vec<(String, Vec<u8>)>;
}

/// Notes of one table of the store's index.
pub(super) struct StoreNotes {
    pub(super) store: Store,
    pub(super) table: &'static str,
}

impl Notes for StoreNotes {
    fn put(&self, name: &str, value: &[u8]) {
        self.store.put_note(self.table, name, value);
    }

    fn remove(&self, name: &str) {
        self.store.remove_note(self.table, name);
    }

    fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.store.all_notes(self.table)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use parking_lot::{Mutex, MutexGuard};

    use super::*;

    /// Notes that outlive what is opened on them.
    #[derive(Clone, Default)]
    pub(crate) struct InMemory(Arc<Mutex<HashMap<String, Vec<u8>>>>);

    impl InMemory {
        pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
            self.0.lock()
        }
    }

    impl Notes for InMemory {
        fn put(&self, name: &str, value: &[u8]) {
            self.lock().insert(name.to_owned(), value.to_vec());
        }

        fn remove(&self, name: &str) {
            self.lock().remove(name);
        }

        fn all(&self) -> Vec<(String, Vec<u8>)> {
            self.lock()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        }
    }
}
