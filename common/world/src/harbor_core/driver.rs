//! Harbor's calls to a provider: health, then a job for each image, then polls until its end. Nothing is retried.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::state::{Core, CoreHandle, ExecutedTask, Generation, Instance};
use crate::http::client;

/// Harbor's is 10 s.
const POLL_EVERY: Duration = Duration::from_millis(200);
const POLLS: u32 = 600;
const CALL_LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn health(instance: &Instance, generation: Generation) -> Result<(), String> {
    let answer = request(instance, generation, Method::GET, generation.health_path())?
        .send()
        .await;
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("unhealthy: {}", answer.status())),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts an execution with a task for each image in the background, and returns its number.
pub(super) fn begin(core: &CoreHandle, instance: Instance, policy: &Value) -> usize {
    let waiting = ExecutedTask {
        status: "Running",
        log: String::new(),
    };
    let images = core.spec.images.clone();
    let execution = {
        let mut held = core.held();
        held.executions.push(vec![waiting; images.len()]);
        held.executions.len() - 1
    };
    let attributes = policy["extra_attrs"].as_str().unwrap_or("{}");
    let attributes: Value = serde_json::from_str(attributes).unwrap_or_default();
    let (core, policy) = (core.clone(), policy.clone());
    tokio::spawn(async move {
        for (index, url) in images.iter().enumerate() {
            let body = job(core.generation, url, &policy, &attributes);
            let ended = one(&core, &instance, &body).await;
            let task = match ended {
                Ok(log) => ExecutedTask {
                    status: "Success",
                    log,
                },
                Err(log) => ExecutedTask { status: "Error", log },
            };
            if let Some(place) = core.held().executions[execution].get_mut(index) {
                *place = task;
            }
        }
    });
    execution
}

fn job(generation: Generation, url: &str, policy: &Value, attributes: &Value) -> Value {
    if generation == Generation::Old {
        let tag = url.rsplit('/').next().unwrap_or_default();
        return json!({"type": "image", "url": url, "headers": {}, "image": "library/app", "tag": tag});
    }
    let scope = policy["scope"].as_str().or(attributes["scope"].as_str());
    json!({
        "type": "preheat",
        "args": {"type": "image", "url": url, "tag": "", "filtered_query_params": "", "headers": {},
            "scope": scope.unwrap_or_default(), "concurrent_count": 0, "timeout": 0},
        "scheduler_cluster_ids": attributes.get("cluster_ids"),
    })
}

async fn one(core: &Core, instance: &Instance, job: &Value) -> Result<String, String> {
    let generation = core.generation;
    let answer = request(instance, generation, Method::POST, generation.jobs_path())?
        .json(job)
        .send()
        .await;
    let made = read(answer).await?;
    let id = match generation {
        Generation::Old => made["ID"].as_str().map(str::to_owned),
        _ => made["id"].as_i64().map(|id| id.to_string()),
    };
    let id = id.ok_or_else(|| format!("no id of the right type in {made}"))?;
    for _ in 0..POLLS {
        sleep(POLL_EVERY).await;
        let path = format!("{}/{id}", generation.jobs_path());
        let polled = read(request(instance, generation, Method::GET, &path)?.send().await).await?;
        let word = polled["status"]
            .as_str()
            .or(polled["state"].as_str())
            .unwrap_or_default();
        match (generation, word) {
            (_, "SUCCESS") => return Ok(polled.to_string()),
            (Generation::Old, "WAITING" | "RUNNING") | (_, "PENDING") => {}
            (Generation::Old, "FAIL" | "FAILED") | (_, "FAILURE") => return Err(polled.to_string()),
            (_, other) => return Err(format!("unknown state: {other}")),
        }
    }
    Err("status check timeout".to_owned())
}

fn request(
    instance: &Instance,
    generation: Generation,
    method: Method,
    path: &str,
) -> Result<RequestBuilder, String> {
    let url = format!("{}{path}", instance.endpoint().trim_end_matches('/'));
    let request = client(None).request(method, url).timeout(CALL_LIMIT);
    Ok(match instance.authorization(generation)? {
        Some(authorization) => request.header("authorization", authorization),
        None => request,
    })
}

async fn read(answer: reqwest::Result<reqwest::Response>) -> Result<Value, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("error: {status} {text}"));
    }
    serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))
}
