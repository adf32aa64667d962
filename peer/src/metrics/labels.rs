//! The labels of the peer's metrics. All values are words of this program, except a parent's address.

use prometheus_client::encoding::EncodeLabelSet;
use wire::Side;

use super::{FAILED, SEALED};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabel {
    pub(super) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SourceLabel {
    pub(super) source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DoorLabel {
    pub(super) door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabel {
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndedLabels {
    pub(super) outcome: &'static str,
    pub(super) side: &'static str,
}

impl EndedLabels {
    pub(super) fn of(failed_on: Option<Side>) -> Self {
        Self {
            outcome: if failed_on.is_some() { FAILED } else { SEALED },
            side: failed_on.map_or("none", Side::word),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ParentLabel {
    pub(super) parent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}
