//! Harbor 2.1 to 2.11, provider "Dragonfly": a ping, one preheat per image tag, polls every ten seconds.
//!
//! **Invariant:** the status is only `WAITING`, `RUNNING`, `SUCCESS` or `FAIL`: with any other word these versions
//! poll for half an hour. Ids are texts.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod ping;

use crate::types::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Waiting,
    Running,
    Success,
    Fail,
}

/// The response to a POST: only an id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[serde(rename = "ID")]
    #[schema(example = "7")]
    id: String,
}

/// A preheat in Harbor's format.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Polled {
    #[serde(rename = "ID")]
    #[schema(example = "7")]
    id: String,
    #[schema(value_type = String, format = DateTime)]
    start_time: Timestamp,
    /// Time of the last change until the preheat has ended.
    #[schema(value_type = String, format = DateTime)]
    finish_time: Timestamp,
    status: Status,
    /// Why it failed and what to do. Harbor does not show it.
    error_msg: String,
}
