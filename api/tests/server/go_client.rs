//! What Harbor's Go client demands of an answer, over again and strictly: types, words, times.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::raw::RawAnswer;

#[derive(Debug, Deserialize)]
pub(crate) struct GoJob {
    /// A JSON integer: a string or a fraction ends Harbor's task.
    pub(crate) id: i64,
    #[serde(deserialize_with = "rfc_3339")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(deserialize_with = "rfc_3339")]
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) state: GoState,
    pub(crate) result: Option<GoResult>,
}

/// Any other word is `unknown state` and the end of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum GoState {
    Pending,
    Success,
    Failure,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GoResult {
    pub(crate) job_states: Vec<GoJobState>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GoJobState {
    pub(crate) error: String,
    pub(crate) results: Vec<GoClusterResult>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GoClusterResult {
    pub(crate) scheduler_cluster_id: u32,
    pub(crate) success_tasks: Vec<GoTask>,
    pub(crate) failure_tasks: Vec<GoTask>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GoTask {
    pub(crate) url: String,
    pub(crate) hostname: String,
    pub(crate) ip: String,
    pub(crate) description: String,
}

fn rfc_3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    OffsetDateTime::parse(&String::deserialize(deserializer)?, &Rfc3339).map_err(D::Error::custom)
}

/// As the client does: 2xx but never 208, and a body that fits. Ours is always 200.
pub(crate) fn read(answer: &RawAnswer) -> GoJob {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer
            .head
            .to_ascii_lowercase()
            .contains("content-type: application/json"),
        "{}",
        answer.head
    );
    let job: GoJob =
        serde_json::from_slice(&answer.body).unwrap_or_else(|fault| panic!("{fault}: {}", answer.text()));
    assert!(
        job.updated_at >= job.created_at,
        "Harbor prints the difference as the job's duration"
    );
    job
}

impl GoJob {
    /// What Harbor puts into its log for a failed job, and nothing else of it.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let states = self.result.iter().flat_map(|result| &result.job_states);
        states.map(|state| state.error.as_str()).collect()
    }

    /// The lines of the table in Harbor's log.
    pub(crate) fn tasks(&self, succeeded: bool) -> Vec<&GoTask> {
        let states = self.result.iter().flat_map(|result| &result.job_states);
        let clusters = states.flat_map(|state| &state.results);
        clusters
            .flat_map(|one| {
                if succeeded {
                    &one.success_tasks
                } else {
                    &one.failure_tasks
                }
            })
            .collect()
    }
}
