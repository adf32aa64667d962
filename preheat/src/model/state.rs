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

    pub(crate) fn of(word: &str) -> Self {
        match word {
            "waiting" => Self::Waiting,
            "resolving" => Self::Resolving,
            "placing" => Self::Placing,
            "succeeded" => Self::Succeeded,
            "cancelled" => Self::Cancelled,
            _ => Self::Failed,
        }
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
