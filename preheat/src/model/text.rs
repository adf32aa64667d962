//! Pieces of text that people read.

use wire::Side;

/// A digest as people tell it apart.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

pub(crate) fn side_of(word: &str) -> Side {
    match word {
        "caller" => Side::Caller,
        "registry" => Side::Registry,
        "network" => Side::Network,
        "peer" => Side::Peer,
        _ => Side::Manager,
    }
}

const LONGEST_REASON: usize = 2_000;

/// Of how many failures a verdict tells.
pub(crate) const TOLD: usize = 3;
