//! The states of preheats and placements.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PreheatState {
    /// Stored; the registry has not been asked yet.
    Waiting,
    /// The registry is being asked, or no seed is connected; `reason` states what it waits for.
    Resolving,
    Placing,
    Succeeded,
    Failed,
    /// A caller ended it.
    Cancelled,
}

impl PreheatState {
    pub fn word(self) -> &'static str {
        self.into()
    }

    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementState {
    /// The peer has not taken it yet, or it waits for the seeds.
    Waiting,
    Fetching,
    Verified,
    Failed,
}

/// A preheat's number: counted by the database, never used again.
pub type PreheatId = i64;

/// The state of a placement in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub(crate) enum StoredPlacement {
    Open,
    Verified,
    Failed,
}

impl StoredPlacement {
    /// The words sort as people want to read them: failures first.
    pub(crate) const fn word(self) -> &'static str {
        self.into_str()
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}
