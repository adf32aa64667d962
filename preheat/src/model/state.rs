//! The states of preheats and placements.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreheatState {
    /// Written down; nobody has asked the registry yet.
    Waiting,
    /// The registry is being asked, or no seed has called in yet; `reason` says what it waits for.
    Resolving,
    Placing,
    Succeeded,
    Failed,
    /// Somebody ended it before its time.
    Cancelled,
}

impl PreheatState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Resolving => "resolving",
            Self::Placing => "placing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    pub(crate) const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Resolving,
        Self::Placing,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredPlacement {
    Open,
    Verified,
    Failed,
}

impl StoredPlacement {
    /// The words sort as people want to read them: failures first.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Open, Self::Verified, Self::Failed]
            .into_iter()
            .find(|state| state.word() == word)
    }
}
