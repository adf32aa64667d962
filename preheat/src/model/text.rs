//! Pieces of text that people read.

/// A digest as people tell it apart.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

const LONGEST_REASON: usize = 2_000;

/// Of how many failures a verdict tells.
pub(crate) const NAMED_FAILURES: usize = 3;
