//! A real Prometheus that scrapes our admin ports, and `promtool` to check their metrics.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::status_of;
use crate::program::{eventually, run, text};
use crate::{Port, Program, files};

const START_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// A Prometheus of a test's own, that scrapes once a second.
pub struct Prometheus {
    _program: Program,
    _dir: TempDir,
    port: Port,
    client: Client,
}

impl Prometheus {
    /// Scrapes `(job, admin URL)`s.
    pub async fn start(targets: &[(&str, String)]) -> Self {
        let dir = files::temporary("prometheus");
        let config = dir.path().join("prometheus.yml");
        files::write(&config, configuration(targets));
        let port = Port::free();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={port}"))
            .arg("--log.level=warn");
        let mut program = Program::start("prometheus", command, &dir.path().join("log"), None);
        let client = crate::http::client(None);
        let ready = format!("http://{port}/-/ready");
        program
            .wait_until(START_LIMIT, async || {
                status_of(&client, &ready).await == Some(200)
            })
            .await;
        Self {
            _program: program,
            _dir: dir,
            port,
            client,
        }
    }

    /// Evaluates an expression: the series, or the error.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let mut url = reqwest::Url::parse(&format!("http://{}/api/v1/query", self.port)).expect("a URL");
        url.query_pairs_mut().append_pair("query", expression);
        let answer = self.client.get(url).timeout(ANSWER_LIMIT).send().await;
        let answer: Value = answer
            .map_err(|error| error.to_string())?
            .json()
            .await
            .map_err(|error| error.to_string())?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until every target was scraped `times` times, so that rates can be computed.
    pub async fn scraped(&self, targets: usize, times: usize, limit: Duration) {
        let expression = format!("count(count_over_time(up[5m]) >= {times})");
        eventually("enough scrapes of every target", limit, async || {
            let series = self.query(&expression).await.ok()?;
            let count = series.first()?["value"][1].as_str()?.parse::<usize>().ok()?;
            (count >= targets).then_some(())
        })
        .await;
    }
}

fn configuration(targets: &[(&str, String)]) -> String {
    let mut config = String::from("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n");
    let mut jobs: Vec<&str> = targets.iter().map(|(job, _)| *job).collect();
    jobs.dedup();
    for job in jobs {
        let addresses: Vec<&str> = targets
            .iter()
            .filter(|(of, _)| *of == job)
            .map(|(_, url)| url.trim_start_matches("http://"))
            .collect();
        // JSON is YAML.
        let addresses = Value::from(addresses);
        let _ = writeln!(
            config,
            "  - {{job_name: {job}, static_configs: [{{targets: {addresses}}}]}}"
        );
    }
    config
}

/// `promtool ARGUMENTS` in a folder, with `stdin`; what it printed, as an error unless it was content.
pub async fn promtool(folder: &Path, arguments: &[&str], stdin: Option<&str>) -> Result<String, String> {
    let input = files::temporary("promtool");
    let mut command = Command::new("/bin/sh");
    command.current_dir(folder).arg("-c");
    let file = input.path().join("stdin");
    files::write(&file, stdin.unwrap_or_default());
    command
        .arg("exec promtool \"$@\" < \"$0\"")
        .arg(&file)
        .args(arguments);
    let output = run(command, TOOL_LIMIT).await;
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}
