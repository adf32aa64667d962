//! Registries known to be Harbors, by the names in their 401 responses.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::RegistryName;

/// More than anyone has. It bounds the memory that invented names can use.
const KEPT: usize = 1_024;

/// Clones share the set.
#[derive(Clone, Default)]
pub(crate) struct Harbors(Arc<RwLock<HashSet<RegistryName>>>);

impl Harbors {
    pub(crate) fn has(&self, name: &RegistryName) -> bool {
        let known = self.0.read();
        known.contains(name)
    }

    pub(crate) fn add(&self, name: &RegistryName) {
        if self.has(name) {
            return;
        }
        let mut known = self.0.write();
        if known.len() < KEPT {
            known.insert(name.clone());
        }
    }
}
