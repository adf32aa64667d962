//! What an image is made of, by the word of its registry or of an earlier preheat.

pub(crate) mod choice;
pub(crate) mod contents;
pub(crate) mod find;
pub(crate) mod foreign;
pub(crate) mod location;
pub(crate) mod objects;
pub(crate) mod reader;
pub(crate) mod referrers;
pub(crate) mod trouble;
pub(crate) mod unusable;
pub(crate) mod walk;
