//! Applies the image rules that the manager sends: pins, blocks and recalls.
//!
//! **Invariant:** the rules that were sent last hold over a restart without the manager. Each recall is carried out
//! once: an object that is fetched again later stays.

use std::io;

use oci::{Digest, Location};
use tracing::{info, warn};
use wire::{ImageRules, KnownImageRules, Recall};

use super::blocking::off_thread;
use super::handle::Store;
use super::known_rules::{KnownRules, NOTES, RECALLED, RULES, digests};
use super::removals::RemovalReason;

impl Store {
    /// Whether the object is blocked: not served and not fetched.
    pub fn is_blocked(&self, digest: &Digest) -> bool {
        self.0.rules.get().blocked.contains_key(digest)
    }

    /// Who blocked the image of this object, when and why, as text for people.
    pub fn blocked(&self, digest: &Digest) -> Option<String> {
        let known = self.0.rules.get();
        known.blocked.get(digest).map(|block| block.text.clone())
    }

    /// The same for an image by its name. `is_it` is asked for each image that was blocked by a tag.
    pub fn blocked_by_name(&self, is_it: impl Fn(&wire::RuledImage) -> bool) -> Option<String> {
        let known = self.0.rules.get();
        let mut named = known.blocks.iter().filter(|block| block.image.tag.is_some());
        named
            .find(|block| is_it(&block.image))
            .map(|block| block.text.clone())
    }

    /// Whether a pin keeps the object from being evicted.
    pub fn is_pinned(&self, digest: &Digest) -> bool {
        let now = self.now_ms();
        let known = self.0.rules.get();
        let until = known.pinned.get(digest);
        until.is_some_and(|until| until.is_none_or(|until| until > now))
    }

    /// What the manager has to know to send only what is new.
    pub fn known_image_rules(&self) -> KnownImageRules {
        let known = self.0.rules.get();
        KnownImageRules {
            version: known.version.clone(),
            recalled: known.recalled,
        }
    }

    /// Takes over what the manager says, and carries out what is new of it.
    pub async fn learn_image_rules(&self, mut rules: ImageRules) {
        let recalls = std::mem::take(&mut rules.recalls);
        match serde_json::to_vec(&rules) {
            Ok(bytes) => self.0.index.put_note(NOTES, RULES, &bytes),
            Err(error) => warn!(%error, stoker.side = "peer", "image rules not stored"),
        }
        // Blocks first: what is removed below must not be fetched again.
        self.0
            .rules
            .set(KnownRules::new(rules.clone(), self.0.rules.get().recalled));
        for recall in recalls {
            if let Err(error) = self.recall(&recall).await {
                warn!(%error, stoker.side = "peer", stoker.image = recall.image.image, "recall failed; it is repeated with the next rules");
                // Without this version the manager sends the rules again.
                rules.version = String::new();
                break;
            }
            self.0
                .index
                .put_note(NOTES, RECALLED, &recall.number.to_be_bytes());
            self.0.rules.set(KnownRules::new(rules.clone(), recall.number));
        }
        self.0
            .rules
            .set(KnownRules::new(rules, self.0.rules.get().recalled));
    }

    async fn recall(&self, recall: &Recall) -> io::Result<()> {
        let mut gone: Vec<Digest> = digests(&recall.image.digests).collect();
        gone.extend(self.meant_by(&recall.image));
        let store = self.clone();
        let removed = off_thread(move || {
            let mut removed = 0_u64;
            let begun = store.partials();
            for digest in &gone {
                removed += u64::from(store.remove_now(digest, RemovalReason::Recalled)?);
                if let Some(begun) = begun.iter().find(|one| one.digest == *digest) {
                    store.remove_partial(begun)?;
                }
            }
            Ok(removed)
        });
        let objects = removed.await?;
        info!(
            stoker.image = recall.image.image,
            objects, "image removed by a recall"
        );
        Ok(())
    }

    /// The digests that the image's tag means here, under every scheme and path of its registry.
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
