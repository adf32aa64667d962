//! What the manager says of images beside what it wants placed: pinned, blocked, taken off.
//!
//! **Invariant:** what was said last holds over a restart without the manager, and each recall is carried out once: an
//! object that comes again later, because somebody wants it again, stays.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use oci::{Digest, Location};
use parking_lot::RwLock;
use tracing::{info, warn};
use wire::{Block, ImageRules, KnownImageRules, Recall};

use super::index::Index;
use super::{RemovalReason, Store, off_thread};

const NOTES: &str = "images";
const SAID: &str = "rules";
const RECALLED: &str = "recalled";

/// In memory, for who has to decide.
pub(super) struct Rules(RwLock<Arc<Known>>);

#[derive(Default)]
struct Known {
    version: String,
    recalled: i64,
    /// Until when, in Unix milliseconds; none: for ever.
    pinned: HashMap<Digest, Option<i64>>,
    blocked: HashMap<Digest, Arc<Block>>,
    blocks: Vec<Arc<Block>>,
}

impl Known {
    fn new(said: ImageRules, recalled: i64) -> Self {
        let mut known = Self {
            version: said.version,
            recalled,
            ..Self::default()
        };
        for pin in &said.pins {
            for digest in digests(&pin.image.digests) {
                let until = known.pinned.entry(digest).or_insert(pin.until_unix_ms);
                // Of two pins the longer one holds.
                *until = until.and_then(|one| pin.until_unix_ms.map(|other| one.max(other)));
            }
        }
        known.blocks = said.blocks.into_iter().map(Arc::new).collect();
        for block in &known.blocks {
            let blocked = digests(&block.image.digests).map(|digest| (digest, Arc::clone(block)));
            known.blocked.extend(blocked);
        }
        known
    }
}

/// What cannot be a digest cannot be here.
fn digests(texts: &[String]) -> impl Iterator<Item = Digest> {
    texts.iter().filter_map(|text| text.parse().ok())
}

impl Rules {
    /// As they were said last.
    pub(super) fn open(index: &Index) -> Self {
        let said = index.get_note(NOTES, SAID);
        let said = said.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let recalled = index.get_note(NOTES, RECALLED);
        let recalled = recalled.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
        let known = Known::new(said.unwrap_or_default(), recalled.unwrap_or_default());
        Self(RwLock::new(Arc::new(known)))
    }

    fn get(&self) -> Arc<Known> {
        self.0.read().clone()
    }

    fn set(&self, known: Known) {
        *self.0.write() = Arc::new(known);
    }
}

impl Store {
    /// Whether the object is given to nobody, and not fetched.
    pub fn is_blocked(&self, digest: &Digest) -> bool {
        self.0.rules.get().blocked.contains_key(digest)
    }

    /// Who blocked the image that this object belongs to, when and why: for people.
    pub fn blocked(&self, digest: &Digest) -> Option<String> {
        let known = self.0.rules.get();
        known.blocked.get(digest).map(|block| block.text.clone())
    }

    /// The same for an image by its name; `is_it` is asked of each that was blocked by a tag.
    pub fn blocked_by_name(&self, is_it: impl Fn(&wire::RuledImage) -> bool) -> Option<String> {
        let known = self.0.rules.get();
        let mut named = known.blocks.iter().filter(|block| block.image.tag.is_some());
        named
            .find(|block| is_it(&block.image))
            .map(|block| block.text.clone())
    }

    /// Whether it stays although it is not used.
    pub fn is_pinned(&self, digest: &Digest) -> bool {
        let now = self.now_ms();
        let known = self.0.rules.get();
        let until = known.pinned.get(digest);
        until.is_some_and(|until| until.is_none_or(|until| until > now))
    }

    /// To be named when the manager is asked for news.
    pub fn known_image_rules(&self) -> KnownImageRules {
        let known = self.0.rules.get();
        KnownImageRules {
            version: known.version.clone(),
            recalled: known.recalled,
        }
    }

    /// Takes over what the manager says, and carries out what is new of it.
    pub async fn learn_image_rules(&self, mut said: ImageRules) {
        let recalls = std::mem::take(&mut said.recalls);
        match serde_json::to_vec(&said) {
            Ok(bytes) => self.0.index.put_note(NOTES, SAID, &bytes),
            Err(error) => warn!(%error, stoker.side = "peer", "rules for images cannot be kept"),
        }
        // Blocked first: what goes now is not fetched again.
        self.0
            .rules
            .set(Known::new(said.clone(), self.0.rules.get().recalled));
        for recall in recalls {
            if let Err(error) = self.recall(&recall).await {
                warn!(%error, stoker.side = "peer", stoker.image = recall.image.image, "an image cannot be taken off this peer; it is tried again at the next news");
                // Asked for again, as its number is not the one that is named.
                said.version = String::new();
                break;
            }
            self.0
                .index
                .put_note(NOTES, RECALLED, &recall.number.to_be_bytes());
            self.0.rules.set(Known::new(said.clone(), recall.number));
        }
        self.0.rules.set(Known::new(said, self.0.rules.get().recalled));
    }

    async fn recall(&self, recall: &Recall) -> io::Result<()> {
        let mut gone: Vec<Digest> = digests(&recall.image.digests).collect();
        gone.extend(self.meant_by(&recall.image));
        let store = self.clone();
        let removed = off_thread(move || {
            let mut removed = 0_u64;
            let begun = store.begun();
            for digest in &gone {
                removed += u64::from(store.remove_now(digest, RemovalReason::Recalled)?);
                if let Some(begun) = begun.iter().find(|one| one.digest == *digest) {
                    store.remove_resting(begun)?;
                }
            }
            Ok(removed)
        });
        let objects = removed.await?;
        info!(
            stoker.image = recall.image.image,
            objects, "{} was taken off this peer", recall.image.image
        );
        Ok(())
    }

    /// What its tag means here, by whatever scheme and path the registry was reached.
    fn meant_by(&self, image: &wire::RuledImage) -> Vec<Digest> {
        let Some(tag) = image.tag.as_deref() else {
            return Vec::new();
        };
        let is_it = |location: &Location| {
            location.registry().as_str() == image.registry && location.repository.as_str() == image.repository
        };
        self.0.index.tag_wherever(tag, is_it)
    }
}
