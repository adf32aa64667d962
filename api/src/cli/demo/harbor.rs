//! Acts as Harbor: sends the same request and the same poll as Harbor's "Dragonfly" provider.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::super::output;
use super::fleet::Fleet;
use super::registry::{REPOSITORY, SampleRegistry, TAG};

/// The timeout of Harbor's client.
const LIMIT: Duration = Duration::from_secs(30);
/// Harbor sends a token of its registry; the sample registry does not check it.
const SHOWN_TOKEN: &str = "Bearer eyJhbGciOiJSUzI1NiJ9.ZGVtbw.ZGVtbw";

/// The fields that Harbor reads from a response.
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

/// Prints and sends the request. Returns the id of the job.
pub(crate) async fn create_job(fleet: &Fleet, registry: &SampleRegistry) -> anyhow::Result<i64> {
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
        "the state of the new job is {} instead of PENDING",
        job.state
    );
    Ok(job.id)
}

/// Polls as Harbor does after all objects are placed. The response must list every object on both seeds.
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
        "the state of the job is {} instead of SUCCESS: {}",
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
        "the job lists {good} succeeded and {bad} failed tasks; expected are {} and 0",
        objects * 2
    );
    Ok(())
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<(Job, String)> {
    let response = request
        .timeout(LIMIT)
        .send()
        .await
        .context("the manager cannot be reached")?;
    let status = response.status();
    let text = response.text().await?;
    ensure!(
        status.is_success(),
        "the manager refused the request of Harbor: {status}: {text}"
    );
    let job = serde_json::from_str(&text).context("the manager's response is not what Harbor expects")?;
    Ok((job, text))
}
