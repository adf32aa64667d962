//! What holds for images on every peer beside what is placed: pinned, blocked, taken off. A peer keeps it on its disk.
//!
//! **Invariant:** a peer that was away learns all of it when it comes back: pins and blocks are told as a whole, and
//! what was taken off by a number that only grows.

use serde::{Deserialize, Serialize};

/// Images that are pinned or blocked, each.
pub const IMAGE_RULES: usize = 1_000;
/// Digests of one image in such a rule.
pub const RULE_DIGESTS: usize = 2_000;
/// Digests of recalls in one answer; the rest follows with the next.
pub const RECALLED_AT_ONCE: usize = 20_000;

/// What a peer knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownImageRules {
    /// Of the last [`ImageRules`].
    pub version: String,
    /// The number of the last [`Recall`] that was carried out.
    pub recalled: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageRules {
    /// A hash over all of it, the last recall included: a peer that names this version is told nothing new.
    pub version: String,
    pub pins: Vec<Pin>,
    pub blocks: Vec<Block>,
    /// Those that the peer has not carried out, oldest first.
    pub recalls: Vec<Recall>,
}

/// An image as its rules name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledImage {
    /// For people: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub registry: String,
    pub repository: String,
    /// Named by it.
    pub tag: Option<String>,
    /// Of its manifests and of what else it needs, as far as the manager knows.
    pub digests: Vec<String>,
}

/// An image that stays, though nobody uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    #[serde(flatten)]
    pub image: RuledImage,
    /// None: until somebody takes it away.
    pub until_unix_ms: Option<i64>,
}

/// An image that is given to nobody. Its digests are those that no other image needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    #[serde(flatten)]
    pub image: RuledImage,
    /// For who is refused: who blocked it, when and why.
    pub text: String,
}

/// An image that was taken off every peer, once. Its digests are those that no other image needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    pub number: i64,
    #[serde(flatten)]
    pub image: RuledImage,
}
