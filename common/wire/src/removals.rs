//! The list of removed peers. It overrides certificates at the manager and at every peer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Record;

/// The limit of peers in a list.
pub const REMOVED_AT_MOST: usize = 20_000;

/// Every removed peer whose certificate could still be used. A list with a higher number replaces one with a lower.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalList {
    pub number: i64,
    pub peers: BTreeSet<Uuid>,
}

impl RemovalList {
    pub fn names(&self, peer: Uuid) -> bool {
        self.peers.contains(&peer)
    }

    pub fn replaces(&self, older: &Self) -> bool {
        self.number > older.number
    }
}

impl Record for RemovalList {
    const KIND: &'static str = "removals-v1";
}
