//! A parsed request for a preheat.

use std::time::Duration;

use oci::{Credential, ImageReference, Platform};
use strum::{EnumString, IntoStaticStr};

use super::peer_choice::PeerChoice;
use super::scope::{ClusterChoice, Scope};
use crate::model::labels::Labels;

/// One image to be preheated.
#[derive(Debug, Clone)]
pub struct PreheatRequest {
    pub image: ImageReference,
    pub scope: Scope,
    /// Which of the peers that `scope` names have to hold the image.
    pub peers: PeerChoice,
    pub clusters: ClusterChoice,
    /// Empty: all that the image has.
    pub platforms: Vec<Platform>,
    /// Whether referrers are preheated too: signatures, SBOMs. None: as the clusters are configured.
    pub referrers: Option<bool>,
    /// For the registry; stored encrypted, and deleted when the preheat ends.
    pub credential: Option<Credential>,
    pub priority: Priority,
    /// The preheat fails if it has not ended by then. None: the configured limit.
    pub time_limit: Option<Duration>,
    /// The id of the message that requested it. A repeated message gets the same preheat.
    pub delivery: Option<String>,
    pub asked_by: Requester,
    /// Free key-value pairs, to show and to filter by.
    pub labels: Labels,
}

impl PreheatRequest {
    /// The image on one seed of each cluster, with all its platforms.
    pub fn new(image: ImageReference, asked_by: Requester) -> Self {
        Self {
            image,
            scope: Scope::default(),
            peers: PeerChoice::default(),
            clusters: ClusterChoice::default(),
            platforms: Vec::new(),
            referrers: None,
            credential: None,
            priority: Priority::default(),
            time_limit: None,
            delivery: None,
            labels: Labels::default(),
            asked_by,
        }
    }
}

/// The interface that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Requester {
    /// Harbor's provider "Dragonfly", either generation.
    Harbor,
    Api,
    /// Harbor's provider "Kraken".
    Kraken,
    /// A registry's own notifications.
    Notification,
    /// A webhook of Harbor.
    Webhook,
}

impl Requester {
    pub const ALL: [Self; 5] = [
        Self::Harbor,
        Self::Api,
        Self::Kraken,
        Self::Notification,
        Self::Webhook,
    ];

    pub fn word(self) -> &'static str {
        self.into()
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        word.parse().ok()
    }
}

/// Waiting preheats with a higher priority are worked on first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a priority; write low, normal or high")]
pub struct BadPriority(String);

impl Priority {
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// As the queue counts it: higher goes first.
    pub(crate) fn rank(self) -> i32 {
        match self {
            Self::Low => -10,
            Self::Normal => 0,
            Self::High => 10,
        }
    }

    pub(crate) fn of_rank(rank: i32) -> Self {
        match rank {
            ..0 => Self::Low,
            0 => Self::Normal,
            1.. => Self::High,
        }
    }
}

impl std::str::FromStr for Priority {
    type Err = BadPriority;

    fn from_str(text: &str) -> Result<Self, BadPriority> {
        [Self::Low, Self::Normal, Self::High]
            .into_iter()
            .find(|priority| priority.word() == text)
            .ok_or_else(|| BadPriority(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_read_back_from_its_word_and_its_rank() {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            assert_eq!(priority.word().parse(), Ok(priority));
            assert_eq!(Priority::of_rank(priority.rank()), priority);
        }
        let refused = "urgent".parse::<Priority>();
        assert_eq!(refused, Err(BadPriority("urgent".to_owned())));
    }
}
