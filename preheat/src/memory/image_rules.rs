//! The pins and blocks that peers are sent, as this process last read them.

use std::sync::Arc;

use parking_lot::Mutex;
use wire::ImageRules;

/// Changes of another manager take effect here after this time.
const KNOWN_FOR_MS: i64 = 5_000;

/// The last answer.
#[derive(Default)]
pub(crate) struct KnownRules(Mutex<Option<(i64, Arc<DistributedRules>)>>);

impl KnownRules {
    pub(crate) fn get(&self, now_ms: i64) -> Option<Arc<DistributedRules>> {
        let known = self.0.lock();
        let fresh = known.as_ref().filter(|(at, _)| now_ms - at < KNOWN_FOR_MS);
        fresh.map(|(_, rules)| Arc::clone(rules))
    }

    pub(crate) fn put(&self, known: Option<(i64, Arc<DistributedRules>)>) {
        *self.0.lock() = known;
    }
}

/// For all peers the same, but for the recalls.
#[derive(Default)]
pub(crate) struct DistributedRules {
    pub(crate) rules: ImageRules,
    pub(crate) last_recall: i64,
    /// Manifests of blocked images.
    pub(crate) roots: Vec<String>,
}
