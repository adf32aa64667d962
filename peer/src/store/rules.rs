//! What the manager says of images beside what it wants placed: which are pinned, which are blocked.
//!
//! **Invariant:** what was said last holds over a restart without the manager.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use oci::Digest;

use super::Store;

/// In memory, for who has to decide.
#[derive(Default)]
pub(super) struct Rules(RwLock<Arc<Known>>);

#[derive(Default)]
struct Known {
    /// Until when, in Unix milliseconds; none: for ever.
    pinned: HashMap<Digest, Option<i64>>,
    blocked: HashSet<Digest>,
}

impl Rules {
    fn get(&self) -> Arc<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store {
    /// Whether the object is not given out, to nobody, and not fetched.
    pub fn is_blocked(&self, digest: &Digest) -> bool {
        self.0.rules.get().blocked.contains(digest)
    }

    /// Whether it stays although it is not used.
    pub fn is_pinned(&self, digest: &Digest) -> bool {
        let now = self.now_ms();
        let known = self.0.rules.get();
        let until = known.pinned.get(digest);
        until.is_some_and(|until| until.is_none_or(|until| until > now))
    }
}
