//! Rules for images on every peer: pins, blocks, recalls. A peer stores them on disk.
//!
//! **Invariant:** a peer that was disconnected receives all rules later: pins and blocks are sent as a whole, and recalls
//! by a number that only grows.

use serde::{Deserialize, Serialize};

/// The limit of pins, and of blocks.
pub const IMAGE_RULES: usize = 1_000;
/// The limit of digests in one rule.
pub const RULE_DIGESTS: usize = 2_000;
/// The limit of recalled digests in one response; the rest follows with the next.
pub const RECALLED_AT_ONCE: usize = 20_000;

/// The rules that a peer has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownImageRules {
    /// The version of the last [`ImageRules`].
    pub version: String,
    /// The number of the last [`Recall`] that was carried out.
    pub recalled: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageRules {
    /// A hash over all rules, the last recall included. A peer with this version is sent nothing.
    pub version: String,
    pub pins: Vec<Pin>,
    pub blocks: Vec<Block>,
    /// Recalls that the peer has not carried out, oldest first.
    pub recalls: Vec<Recall>,
}

/// The image of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledImage {
    /// For people: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub registry: String,
    pub repository: String,
    /// The tag in the rule.
    pub tag: Option<String>,
    /// The digests of its manifests and other objects, as far as the manager knows them.
    pub digests: Vec<String>,
}

/// A pinned image: unused objects of it are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    #[serde(flatten)]
    pub image: RuledImage,
    /// `None`: until the pin is deleted.
    pub until_unix_ms: Option<i64>,
}

/// A blocked image: peers refuse it. Its digests are those that no other image needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    #[serde(flatten)]
    pub image: RuledImage,
    /// The text of the refusal: who blocked it, when and why.
    pub text: String,
}

/// A one-time removal of an image from every peer. Its digests are those that no other image needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    pub number: i64,
    #[serde(flatten)]
    pub image: RuledImage,
}
