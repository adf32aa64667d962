//! The effects of a transaction that follow its commit: bells, counts, log lines.

use crate::model::closed::{Closed, ClosedByPreheat};
use crate::model::verdict::Verdict;
use crate::rows::preheats;

/// Carried out once the transaction has committed.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Lanes whose bell is rung.
    pub(crate) lanes: Vec<String>,
    pub(crate) ended: Vec<Ended>,
    /// Lots of absent peers that went to other seeds.
    pub(crate) moved: Vec<MovedLot>,
    /// Closed placements, also those that closed because others did.
    pub(crate) closed: ClosedByPreheat,
    pub(crate) planning: Planning,
    /// A registry was named for the first time: peers have to learn it.
    pub(crate) surroundings_changed: bool,
}

impl Effects {
    pub(crate) fn note(&mut self, preheat: i64, closed: Closed) {
        if closed.count() == 0 {
            return;
        }
        self.closed.entry(preheat).or_default().add(closed);
    }
}

/// A lot of an absent peer that other seeds have taken over.
#[derive(Debug)]
pub(crate) struct MovedLot {
    pub(crate) preheat: i64,
    /// The name of the absent peer.
    pub(crate) peer: String,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) preheat: preheats::Model,
    pub(crate) verdict: Verdict,
}

/// Counts of a written plan, for its span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) objects: usize,
    pub(crate) placements: i64,
    pub(crate) peers: usize,
}

/// The result of planning.
#[derive(Debug, Default)]
pub(crate) enum Planning {
    #[default]
    NotTried,
    NoSeed,
    Done(Planned),
}
