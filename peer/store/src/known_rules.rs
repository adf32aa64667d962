//! The image rules that the manager sent last: what is pinned, blocked, recalled.

use std::collections::HashMap;
use std::sync::Arc;

use oci::Digest;
use parking_lot::RwLock;
use wire::{Block, ImageRules};

use super::index::Index;

/// Table of notes that keeps the rules over a restart.
pub(super) const NOTES: &str = "images";
pub(super) const RULES: &str = "rules";
pub(super) const RECALLED: &str = "recalled";

/// The rules in memory. They are replaced as a whole.
pub(super) struct RulesCell(RwLock<Arc<KnownRules>>);

#[derive(Default)]
pub(super) struct KnownRules {
    pub(super) version: String,
    pub(super) recalled: i64,
    /// The end of each pin in Unix milliseconds. `None`: it has no end.
    pub(super) pinned: HashMap<Digest, Option<i64>>,
    pub(super) blocked: HashMap<Digest, Arc<Block>>,
    pub(super) blocks: Vec<Arc<Block>>,
}

impl KnownRules {
    pub(super) fn new(rules: ImageRules, recalled: i64) -> Self {
        let mut known = Self {
            version: rules.version,
            recalled,
            ..Self::default()
        };
        for pin in &rules.pins {
            for digest in digests(&pin.image.digests) {
                let until = known.pinned.entry(digest).or_insert(pin.until_unix_ms);
                // The longer of two pins counts.
                *until = until.and_then(|one| pin.until_unix_ms.map(|other| one.max(other)));
            }
        }
        known.blocks = rules.blocks.into_iter().map(Arc::new).collect();
        for block in &known.blocks {
            let blocked = digests(&block.image.digests).map(|digest| (digest, Arc::clone(block)));
            known.blocked.extend(blocked);
        }
        known
    }
}

/// Texts that are no digests are skipped: nothing here can match them.
pub(super) fn digests(texts: &[String]) -> impl Iterator<Item = Digest> {
    texts.iter().filter_map(|text| text.parse().ok())
}

impl RulesCell {
    /// Reads the rules that were sent last.
    pub(super) fn open(index: &Index) -> Self {
        let rules = index.get_note(NOTES, RULES);
        let rules = rules.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let recalled = index.get_note(NOTES, RECALLED);
        let recalled = recalled.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
        let known = KnownRules::new(rules.unwrap_or_default(), recalled.unwrap_or_default());
        Self(RwLock::new(Arc::new(known)))
    }

    pub(super) fn get(&self) -> Arc<KnownRules> {
        self.0.read().clone()
    }

    pub(super) fn set(&self, known: KnownRules) {
        *self.0.write() = Arc::new(known);
    }
}
