//! Reports of a peer's holdings, in batches; a hash over the list shows whether both sides agree.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holding {
    pub digest: String,
    pub size: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HoldingsReport {
    /// Whether this is the first part of the whole list, which replaces the manager's list.
    pub starts_full_list: bool,
    pub gained: Vec<Holding>,
    pub lost: Vec<String>,
}

/// Returns a hash of the set of digests, independent of order.
pub fn holdings_hash<'a>(digests: impl IntoIterator<Item = &'a str>) -> String {
    let mut digests: Vec<&str> = digests.into_iter().collect();
    digests.sort_unstable();
    digests.dedup();
    let mut hash = Sha256::new();
    for digest in digests {
        hash.update(digest.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_a_set() {
        assert_eq!(holdings_hash(["b", "a"]), holdings_hash(["a", "b", "a"]));
        assert_ne!(holdings_hash(["a"]), holdings_hash(["b"]));
        assert_eq!(holdings_hash([]).len(), 64);
    }
}
