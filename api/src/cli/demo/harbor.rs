//! Plays Harbor: the request of its "Dragonfly" provider, byte for byte in shape, and its poll.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::super::output;
use super::fleet::Fleet;
use super::registry::{REPOSITORY, SampleRegistry, TAG};

/// As Harbor's own client waits.
const LIMIT: Duration = Duration::from_secs(30);
/// Harbor sends a token of its registry; the sample registry wants none.
const SHOWN_TOKEN: &str = "Bearer eyJhbGciOiJSUzI1NiJ9.ZGVtbw.ZGVtbw";

/// What Harbor reads of an answer.
#[derive(Deserialize)]
struct Job {
    id: i64,
    state: String,
    result: Option<JobResult>,
}

#[derive(Deserialize)]
struct JobResult {
    job_states: Vec<JobState>,
}

#[derive(Deserialize)]
struct JobState {
    error: Option<String>,
    results: Option<Vec<ClusterResult>>,
}

#[derive(Deserialize)]
struct ClusterResult {
    success_tasks: Option<Vec<serde_json::Value>>,
    failure_tasks: Option<Vec<serde_json::Value>>,
}

/// Sends the request and says it; the job's id.
pub(crate) async fn ask(fleet: &Fleet, registry: &SampleRegistry) -> anyhow::Result<i64> {
    let body = format!(
        concat!(
            r#"{{"type":"preheat","args":{{"type":"image","url":"http://{address}/v2/{repository}/manifests/{tag}","#,
            r#""tag":"","filtered_query_params":"","headers":{{"Authorization":"{token}"}},"scope":"all_seed_peers","#,
            r#""concurrent_count":0,"timeout":0}},"scheduler_cluster_ids":null}}"#
        ),
        address = registry.address(),
        repository = REPOSITORY,
        tag = TAG,
        token = SHOWN_TOKEN,
    );
    output::say("   POST /oapi/v1/jobs");
    output::say(format!("   {body}"));
    let http = process::http::client(&process::http::ClientOptions::default())?;
    let request = http
        .post(format!("{}/oapi/v1/jobs", fleet.manager))
        .bearer_auth(fleet.harbor_token.expose())
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(body);
    let (job, text) = answer(request).await?;
    output::say(format!("   -> {text}"));
    ensure!(
        job.state == "PENDING",
        "Harbor expects PENDING and got {}",
        job.state
    );
    Ok(job.id)
}

/// Harbor's poll once all is placed: its answer must list every object on both seeds.
pub(crate) async fn poll(fleet: &Fleet, id: i64, objects: usize) -> anyhow::Result<()> {
    let http = process::http::client(&process::http::ClientOptions::default())?;
    let request = http
        .get(format!("{}/oapi/v1/jobs/{id}", fleet.manager))
        .bearer_auth(fleet.harbor_token.expose());
    let (job, _) = answer(request).await?;
    let states = job.result.map(|result| result.job_states).unwrap_or_default();
    let errors: Vec<&str> = states
        .iter()
        .filter_map(|state| state.error.as_deref())
        .filter(|error| !error.is_empty())
        .collect();
    ensure!(
        job.state == "SUCCESS",
        "Harbor would see {}: {}",
        job.state,
        errors.join("; ")
    );
    let results = || states.iter().flat_map(|state| state.results.iter().flatten());
    let good: usize = results()
        .map(|result| result.success_tasks.iter().flatten().count())
        .sum();
    let bad: usize = results()
        .map(|result| result.failure_tasks.iter().flatten().count())
        .sum();
    output::say("   GET /oapi/v1/jobs/1, as Harbor polls it");
    output::say(format!(
        "   -> \"state\":\"SUCCESS\", {good} tasks succeeded, {bad} failed: each object on each seed"
    ));
    ensure!(
        good == objects * 2 && bad == 0,
        "Harbor's table has {good} rows; {} were expected",
        objects * 2
    );
    Ok(())
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(Job, String)> {
    let response = request
        .timeout(LIMIT)
        .send()
        .await
        .context("the manager did not answer Harbor")?;
    let status = response.status();
    let text = response.text().await?;
    ensure!(
        status.is_success(),
        "the manager answered Harbor with {status}: {text}"
    );
    let job = serde_json::from_str(&text).context("Harbor could not read the manager's answer")?;
    Ok((job, text))
}
