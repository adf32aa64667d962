//! Runs the policy once, and waits for the status of each task in Harbor.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::output;
use super::their_api::{HarborError, TheirApi, part};

/// Harbor's own limit for a task is 30 minutes, and it updates the status of an execution every 30 s.
const LIMIT: Duration = Duration::from_secs(33 * 60);
const PACE: Duration = Duration::from_secs(2);
const LAST_LINES: usize = 15;

#[derive(Debug, Clone, Deserialize)]
struct ExecutionTask {
    id: i64,
    status: String,
}

impl ExecutionTask {
    fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "Success" | "Error" | "Stopped")
    }
}

#[derive(Debug, Deserialize)]
struct Execution {
    status: String,
    #[serde(default)]
    status_message: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error(
        "Harbor did not start the policy: {0}. The log of Harbor's core has the reason, often that Harbor cannot reach \
         the manager. Or the policy matches no image: check its filters, and the project's rules for \
         vulnerabilities and signatures"
    )]
    NotStarted(String),
    #[error("Harbor started the policy, but its response has no Location with the execution")]
    NoLocation,
    #[error("{failed} of {all} tasks failed in Harbor; end of the log of the first:\n{log}")]
    Failed { failed: usize, all: usize, log: String },
    #[error("Harbor ended the execution with status {status} and without a task: {message}")]
    NoTask { status: String, message: String },
    #[error("the execution in Harbor did not end within 33 minutes")]
    Late,
    #[error(transparent)]
    Harbor(#[from] HarborError),
}

/// Runs the policy and waits until every task has ended. Returns the number of tasks.
pub(super) async fn run(
    harbor: &TheirApi,
    project: &str,
    policy: &str,
    pace: Option<Duration>,
) -> Result<usize, RunError> {
    let policy_path = format!("/projects/{}/preheat/policies/{}", part(project), part(policy));
    let stored: serde_json::Value = harbor.get(&policy_path).await?;
    let started = harbor.post(&policy_path, &stored).await;
    let location = started.map_err(|error| match error {
        HarborError::Refused { reason, .. } => RunError::NotStarted(reason),
        other => other.into(),
    })?;
    let execution = location
        .as_deref()
        .and_then(|location| location.rsplit('/').next())
        .and_then(|id| id.parse::<i64>().ok())
        .ok_or(RunError::NoLocation)?;
    let execution_path = format!("{policy_path}/executions/{execution}");
    output::remark(format!(
        "Harbor runs execution {execution}; a task takes at least 10 s"
    ));
    let tasks = until_ended(harbor, &execution_path, pace.unwrap_or(PACE)).await?;
    let failed: Vec<&ExecutionTask> = tasks.iter().filter(|task| task.status != "Success").collect();
    match failed.first() {
        None => Ok(tasks.len()),
        Some(first) => Err(RunError::Failed {
            failed: failed.len(),
            all: tasks.len(),
            log: log_of(harbor, &execution_path, first.id).await,
        }),
    }
}

/// Polls the tasks: Harbor updates the status of the execution up to 30 s later.
async fn until_ended(harbor: &TheirApi, path: &str, pace: Duration) -> Result<Vec<ExecutionTask>, RunError> {
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        let tasks: Vec<ExecutionTask> = harbor.get(&format!("{path}/tasks?page_size=100")).await?;
        if !tasks.is_empty() && tasks.iter().all(ExecutionTask::has_ended) {
            return Ok(tasks);
        }
        let execution: Execution = harbor.get(path).await?;
        let has_ended = matches!(execution.status.as_str(), "Success" | "Error" | "Stopped");
        if tasks.is_empty() && has_ended {
            return Err(RunError::NoTask {
                status: execution.status,
                message: execution.status_message,
            });
        }
        sleep(pace).await;
    }
    Err(RunError::Late)
}

async fn log_of(harbor: &TheirApi, path: &str, task: i64) -> String {
    match harbor.text(&format!("{path}/tasks/{task}/logs")).await {
        Ok(log) => {
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(LAST_LINES);
            lines.get(from..).unwrap_or_default().join("\n")
        }
        Err(error) => json!({ "log": error.to_string() }).to_string(),
    }
}
