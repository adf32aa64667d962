//! The facts of one explanation, and what follows from them so far.

use super::facts::ExplainedFacts;
use super::pulls::PullsByResult;
use super::views::{ExplainedObject, ExplainedPull, ObjectStanding, ReferenceMeaning, Share};

/// The facts, and what follows from them so far.
pub(super) struct Case<'a> {
    pub(super) facts: &'a ExplainedFacts,
    pub(super) objects: &'a [ExplainedObject],
    pub(super) share: &'a Share,
    pub(super) reference: &'a ReferenceMeaning,
    pub(super) pulls: &'a [ExplainedPull],
    pub(super) sorted: PullsByResult<'a>,
}

impl Case<'_> {
    pub(super) fn standing(&self, standing: ObjectStanding) -> Vec<&ExplainedObject> {
        let is_it = |object: &&ExplainedObject| object.standing == standing;
        self.objects.iter().filter(is_it).collect()
    }

    pub(super) fn has(&self, standing: ObjectStanding) -> bool {
        !self.standing(standing).is_empty()
    }
}
