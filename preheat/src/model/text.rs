//! Helpers for text that people read.

/// Returns the algorithm and the first 12 hex digits of a digest.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

const LONGEST_REASON: usize = 2_000;

/// The number of failures that a verdict names.
pub(crate) const NAMED_FAILURES: usize = 3;
