//! `POST /oapi/v1/jobs` at 1,000 requests a second with workers running; then `kill -9` and a restart, after
//! which every id that was answered must exist and end.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use world::{ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry};

use crate::load::{Load, LoadResponse, open_loop, percentile};
use crate::setup::plain_http;
use crate::table::Row;

const IMAGES: u64 = 100;
const PER_SECOND: u32 = 1_000;
const GOAL: Duration = Duration::from_millis(10);
const DRAIN_LIMIT: Duration = Duration::from_secs(900);

pub(crate) async fn run(seconds: u64) -> Vec<Row> {
    let load = Load {
        per_second: PER_SECOND,
        lasts: Duration::from_secs(seconds),
    };
    let registry = Registry::plain().await;
    for seed in 0..IMAGES {
        let image = ImageSpec::new(seed).layers([LayerSpec::of(2_000)]).build();
        registry.push(&image, "bench/app", &format!("v{seed}")).await;
    }
    let mut manager = ManagerSpec::new()
        .config(&plain_http(&registry.host()))
        .start()
        .await;
    let _seed = Peer::seed("seed", &manager).await;
    let client = registry.client().clone();

    let mut reference = latencies(&open_loop(&load, |_| healthy(&client, &manager)).await);
    let answers = open_loop(&load, |number| {
        let tag = format!("v{}", number % IMAGES);
        post(&client, &manager, &registry.manifest_url("bench/app", &tag))
    })
    .await;
    let refused: Vec<String> = answers
        .iter()
        .filter_map(|answer| answer.outcome.clone().err())
        .collect();
    let ids: Vec<i64> = answers
        .iter()
        .filter_map(|answer| answer.outcome.clone().ok())
        .collect();
    let mut ours = latencies(&answers);
    let (p50, p99) = (percentile(&mut ours, 0.5), percentile(&mut ours, 0.99));
    let reference_p99 = percentile(&mut reference, 0.99);

    manager.kill9();
    manager.start_again().await;
    let drained = drain(&client, &manager, &ids).await;
    vec![
        Row {
            scenario: format!("POST /oapi/v1/jobs, 1,000/s for {seconds} s, p99"),
            ours: format!(
                "{p99:?} (p50 {p50:?}, {} answered, {} refused{})",
                ids.len(),
                refused.len(),
                first(&refused)
            ),
            reference: format!("GET /healthy at the same rate: p99 {reference_p99:?}"),
            ratio: format!("{:.1}", p99.as_secs_f64() / reference_p99.as_secs_f64()),
            goal: "p99 < 10 ms, none refused".to_owned(),
            met: p99 < GOAL && refused.is_empty(),
            ..Row::default()
        },
        Row {
            scenario: "kill -9 after that, restart: answered ids that exist and end".to_owned(),
            ours: format!(
                "{} there, {} ended ({} SUCCESS) in {:?}",
                drained.there, drained.ended, drained.succeeded, drained.took
            ),
            reference: format!("{} answered", ids.len()),
            ratio: String::new(),
            goal: "all".to_owned(),
            met: drained.ended == ids.len(),
            ..Row::default()
        },
    ]
}

fn first(refused: &[String]) -> String {
    refused
        .first()
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}

fn latencies<T>(answers: &[LoadResponse<T>]) -> Vec<Duration> {
    answers.iter().map(|answer| answer.latency).collect()
}

fn healthy(client: &Client, manager: &Manager) -> impl Future<Output = Result<(), String>> + Send + 'static {
    let request = client
        .get(format!("{}/healthy", manager.url()))
        .bearer_auth(manager.admin_token());
    async move { taken(request).await.map(drop) }
}

/// Sends one preheat as Harbor does.
pub(crate) fn post(
    client: &Client,
    manager: &Manager,
    manifest_url: &str,
) -> impl Future<Output = Result<i64, String>> + Send + use<> {
    let body = json!({
        "type": "preheat",
        "args": {
            "type": "image",
            "url": manifest_url,
            "tag": "", "filtered_query_params": "", "headers": {}, "scope": "", "concurrent_count": 0, "timeout": 0,
        },
        "scheduler_cluster_ids": null,
    });
    let request = client
        .post(format!("{}/oapi/v1/jobs", manager.url()))
        .bearer_auth(manager.admin_token())
        .json(&body);
    async move {
        taken(request).await?["id"]
            .as_i64()
            .ok_or_else(|| "no id".to_owned())
    }
}

async fn taken(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let answer = request
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{status}: {text}"));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub(crate) struct Drained {
    there: usize,
    pub(crate) ended: usize,
    succeeded: usize,
    took: Duration,
}

/// Polls until all ids have ended.
pub(crate) async fn drain(client: &Client, manager: &Manager, ids: &[i64]) -> Drained {
    let begin = Instant::now();
    let mut drained = Drained {
        there: 0,
        ended: 0,
        succeeded: 0,
        took: Duration::ZERO,
    };
    let mut open: Vec<i64> = ids.to_vec();
    let mut missing = 0;
    while !open.is_empty() && begin.elapsed() < DRAIN_LIMIT {
        let mut still_open = Vec::new();
        for id in open {
            let request = client
                .get(format!("{}/oapi/v1/jobs/{id}", manager.url()))
                .bearer_auth(manager.admin_token());
            match taken(request)
                .await
                .map(|job| job["state"].as_str().unwrap_or_default().to_owned())
                .as_deref()
            {
                Ok("PENDING") => still_open.push(id),
                Ok(state) => {
                    drained.ended += 1;
                    drained.succeeded += usize::from(state == "SUCCESS");
                }
                Err(_) => missing += 1,
            }
        }
        open = still_open;
        sleep(Duration::from_secs(2)).await;
    }
    drained.there = ids.len() - missing;
    drained.took = begin.elapsed();
    drained
}
