//! Registries that have shown themselves to be Harbors: by the names that they give themselves in a 401.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::RegistryName;

/// More than anybody has; whoever invents names fills no memory.
const KEPT: usize = 1_024;

/// A clone is the same one.
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
