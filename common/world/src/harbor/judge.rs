//! Parses responses like Harbor's Go structures: a wrong type or an unknown word fails the job.
//!
//! Stricter than Harbor in one point: a missing id or time is an error.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Answer;

/// The words that Harbor knows; any other ends its job as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Success,
    Failure,
}

/// The answer to a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: i64,
}

/// The answer to a poll.
#[derive(Debug, Clone)]
pub struct Poll {
    pub id: i64,
    pub state: State,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// What Harbor writes into its task log when the job has failed.
    pub errors: Vec<String>,
    /// Harbor's table.
    pub rows: Vec<Row>,
}

/// A line of Harbor's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub ok: bool,
    pub url: String,
    pub hostname: String,
    pub ip: String,
    pub cluster_id: u64,
    /// Of a failure.
    pub description: String,
}

impl Poll {
    /// The digests in the rows that say "held".
    pub fn digests(&self) -> Vec<&str> {
        let held = self.rows.iter().filter(|row| row.ok);
        held.filter_map(|row| row.url.rsplit('/').next()).collect()
    }
}

#[derive(Deserialize)]
struct JobAnswer {
    id: i64,
    created_at: String,
    updated_at: String,
    state: String,
    #[serde(default)]
    result: Option<ResultAnswer>,
}

/// As in Go, null counts as empty.
#[derive(Deserialize)]
struct ResultAnswer {
    #[serde(default)]
    job_states: Option<Vec<JobState>>,
}

#[derive(Deserialize)]
struct JobState {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    results: Option<Vec<Results>>,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    scheduler_cluster_id: Option<u64>,
    #[serde(default)]
    success_tasks: Option<Vec<TaskRow>>,
    #[serde(default)]
    failure_tasks: Option<Vec<TaskRow>>,
}

#[derive(Deserialize)]
struct TaskRow {
    url: String,
    hostname: String,
    ip: String,
    #[serde(default)]
    description: Option<String>,
}

pub(super) fn created(answer: &Answer) -> Result<Created, String> {
    let job = read(answer)?;
    Ok(Created { id: job.id })
}

pub(super) fn poll(answer: &Answer) -> Result<Poll, String> {
    let job = read(answer)?;
    let state = match job.state.as_str() {
        "PENDING" => State::Pending,
        "SUCCESS" => State::Success,
        "FAILURE" => State::Failure,
        other => return Err(format!("unknown state: {other}")),
    };
    let states = job
        .result
        .and_then(|result| result.job_states)
        .unwrap_or_default();
    let errors = states
        .iter()
        .filter_map(|state| state.error.clone())
        .filter(|error| !error.is_empty())
        .collect();
    let results = states
        .into_iter()
        .flat_map(|state| state.results.unwrap_or_default());
    Ok(Poll {
        id: job.id,
        state,
        created_at: moment(&job.created_at)?,
        updated_at: moment(&job.updated_at)?,
        errors,
        rows: results.flat_map(rows).collect(),
    })
}

fn read(answer: &Answer) -> Result<JobAnswer, String> {
    let job: JobAnswer = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("{error} in {}", String::from_utf8_lossy(&answer.body)))?;
    moment(&job.created_at)?;
    moment(&job.updated_at)?;
    Ok(job)
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|error| format!("`{text}` is no RFC 3339 time: {error}"))
}

fn rows(results: Results) -> Vec<Row> {
    let cluster_id = results.scheduler_cluster_id.unwrap_or_default();
    let row = |ok: bool, task: TaskRow| Row {
        ok,
        url: task.url,
        hostname: task.hostname,
        ip: task.ip,
        cluster_id,
        description: task.description.unwrap_or_default(),
    };
    let held = results
        .success_tasks
        .unwrap_or_default()
        .into_iter()
        .map(|task| row(true, task));
    let failed = results
        .failure_tasks
        .unwrap_or_default()
        .into_iter()
        .map(|task| row(false, task));
    held.chain(failed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: std::collections::BTreeMap::new(),
            body: body.into(),
        }
    }

    const TIMES: &str = r#""created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:09.5Z""#;

    #[test]
    fn a_full_answer_becomes_rows() {
        let body = format!(
            r#"{{"id":7,{TIMES},"state":"SUCCESS","result":{{"job_states":[{{"error":"","results":[{{"scheduler_cluster_id":1,
            "success_tasks":[{{"url":"https://h/v2/a/blobs/sha256:1","hostname":"seed-1","ip":"10.0.0.1"}}],
            "failure_tasks":[{{"url":"u","hostname":"seed-1","ip":"10.0.0.1","description":"403"}}]}}]}}]}}}}"#
        );
        let poll = poll(&answer(&body)).expect("readable");
        assert_eq!(poll.digests(), ["sha256:1"]);
        assert_eq!((poll.rows.len(), poll.rows[1].description.as_str()), (2, "403"));
        assert!(poll.errors.is_empty());
    }

    #[test]
    fn what_go_cannot_read_is_refused() {
        let wrong = [
            format!(r#"{{"id":"7",{TIMES},"state":"PENDING"}}"#),
            format!(r#"{{"id":7.5,{TIMES},"state":"PENDING"}}"#),
            format!(r#"{{"id":7,{TIMES},"state":"RUNNING"}}"#),
            format!(r#"{{"id":7,{TIMES},"state":"SUCCESS","result":"x"}}"#),
            format!(r#"{{"id":7,{TIMES},"state":"SUCCESS","result":{{"job_states":{{}}}}}}"#),
            r#"{"id":7,"created_at":"","updated_at":"","state":"PENDING"}"#.to_owned(),
            String::new(),
        ];
        for body in wrong {
            assert!(poll(&answer(&body)).is_err(), "{body}");
        }
    }

    #[test]
    fn a_result_of_null_is_fine() {
        let body = format!(r#"{{"id":7,{TIMES},"state":"PENDING","result":null}}"#);
        assert_eq!(poll(&answer(&body)).expect("readable").state, State::Pending);
    }
}
