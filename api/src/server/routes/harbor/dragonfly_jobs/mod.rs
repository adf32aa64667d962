//! Harbor 2.12 and newer, provider "Dragonfly": health, one job per image tag, polls every ten seconds.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod healthy;

use crate::types::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The only words that Harbor knows. Any other word fails its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = JobState)]
pub(crate) enum HarborJobState {
    Pending,
    Success,
    Failure,
}

/// A preheat in Harbor's format.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct HarborJob {
    id: i64,
    #[serde(rename = "type")]
    #[schema(example = "preheat")]
    kind: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    state: HarborJobState,
    /// `null` while the state is `PENDING`.
    result: Option<HarborJobResult>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobResult)]
pub(crate) struct HarborJobResult {
    job_states: Vec<GroupState>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupState {
    /// Why the job failed and what to do. Harbor shows only this text of a failed job.
    error: String,
    results: Vec<HarborClusterResult>,
}

/// Results of the peers of one cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClusterResult)]
pub(crate) struct HarborClusterResult {
    scheduler_cluster_id: i64,
    success_tasks: Vec<HarborTask>,
    failure_tasks: Vec<HarborTask>,
}

/// One object on one peer, in Harbor's format.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub(crate) struct HarborTask {
    url: String,
    hostname: String,
    ip: String,
    description: String,
}
