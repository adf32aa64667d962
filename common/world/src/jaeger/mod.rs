//! A real Jaeger: receives spans over OTLP; tests read them from its query API.
//!
//! It stores spans in memory only. `make test-all` installs the program.

mod trace;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

pub use trace::{Link, Span, Trace};

use crate::http::status_of;
use crate::program::{Signal, eventually};
use crate::{Port, Program, files};

const START_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Spans wait for the next batch of their program: 200 ms, and a slow machine.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);

/// A Jaeger of a test's own.
pub struct Jaeger {
    program: Program,
    _dir: TempDir,
    grpc: Port,
    http: Port,
    query: Port,
    _query_grpc: Port,
    client: Client,
}

/// Where and how a program's spans go.
#[derive(Debug, Clone)]
pub struct Export {
    endpoint: String,
    protocol: &'static str,
}

impl Export {
    /// To any collector that speaks OTLP over HTTP, there or not.
    pub fn by_http_to(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            protocol: "http/protobuf",
        }
    }

    /// The variables that OpenTelemetry names.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let pairs = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.protocol),
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ];
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

impl Jaeger {
    pub async fn start() -> Self {
        let dir = files::temporary("jaeger");
        let [grpc, http, query, query_grpc] = std::array::from_fn(|_| Port::free());
        let mut command = Command::new(binary());
        command.arg("--config").arg(config());
        // By default it would send its own traces to the usual port.
        command.env("OTEL_TRACES_SAMPLER", "always_off");
        for (name, port) in [
            ("OTLP_GRPC_PORT", &grpc),
            ("OTLP_HTTP_PORT", &http),
            ("JAEGER_QUERY_PORT", &query),
            ("JAEGER_QUERY_GRPC_PORT", &query_grpc),
        ] {
            command.env(name, port.number().to_string());
        }
        let mut program = Program::start("jaeger", command, &dir.path().join("log"), None);
        let client = crate::http::client(None);
        let services = format!("http://{query}/api/services");
        program
            .wait_until(START_LIMIT, async || {
                status_of(&client, &services).await == Some(200)
            })
            .await;
        Self {
            program,
            _dir: dir,
            grpc,
            http,
            query,
            _query_grpc: query_grpc,
            client,
        }
    }

    pub fn by_grpc(&self) -> Export {
        Export {
            endpoint: format!("http://{}", self.grpc),
            protocol: "grpc",
        }
    }

    pub fn by_http(&self) -> Export {
        Export::by_http_to(&format!("http://{}", self.http))
    }

    /// Where people would look at traces.
    pub fn url(&self) -> String {
        format!("http://{}", self.query)
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Accepts connections but sends nothing, until [`Jaeger::resume`].
    pub fn hang(&mut self) {
        self.program.signal(Signal::Freeze);
    }

    pub fn resume(&mut self) {
        self.program.signal(Signal::Thaw);
    }

    /// Gone at once.
    pub fn stop(&mut self) {
        self.program.kill9();
    }

    /// Returns the services that have sent spans, sorted.
    pub async fn services(&self) -> Vec<String> {
        let answer = self.get("/api/services").await;
        let names = answer["data"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<String> = names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// All spans of a trace that have arrived; none if no span has.
    pub async fn trace(&self, id: &str) -> Option<Trace> {
        let answer = self.get(&format!("/api/traces/{id}")).await;
        Trace::read(&answer["data"][0])
    }

    /// The newest traces with a span of this service and name.
    pub async fn traces(&self, service: &str, operation: &str) -> Vec<Trace> {
        let mut url = reqwest::Url::parse(&format!("{}/api/traces", self.url())).expect("a URL");
        url.query_pairs_mut()
            .append_pair("service", service)
            .append_pair("operation", operation)
            .append_pair("lookback", "1h")
            .append_pair("limit", "1000");
        let answer = self.ask(url).await;
        let traces = answer["data"].as_array().cloned().unwrap_or_default();
        traces.iter().filter_map(Trace::read).collect()
    }

    /// Waits until `is_whole` accepts the trace and returns it; on a timeout, fails with the received spans.
    pub async fn trace_when(&self, id: &str, is_whole: impl Fn(&Trace) -> bool) -> Trace {
        let shown = std::cell::RefCell::new(String::from("nothing"));
        let look = async || {
            let trace = self.trace(id).await?;
            let whole = is_whole(&trace) && trace.orphans().is_empty();
            shown.replace(trace.to_string());
            whole.then_some(trace)
        };
        let waited =
            tokio::time::timeout(ARRIVAL_LIMIT, eventually("the trace", ARRIVAL_LIMIT * 2, look)).await;
        waited.unwrap_or_else(|_| panic!("trace {id} is incomplete; Jaeger has:\n{}", shown.borrow()))
    }

    async fn get(&self, path: &str) -> Value {
        let url = reqwest::Url::parse(&format!("{}{path}", self.url())).expect("a URL");
        self.ask(url).await
    }

    async fn ask(&self, url: reqwest::Url) -> Value {
        let shown = url.to_string();
        let answer = self.client.get(url).timeout(ANSWER_LIMIT).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{shown}: {error:?}"));
        let json = answer.json().await;
        json.unwrap_or_else(|error| panic!("{shown}: {error:?}"))
    }
}

/// The program that `ci/test-all-packages` has built.
fn binary() -> PathBuf {
    crate::tools::built("jaeger", "make test-all")
}

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/tools/jaeger/jaeger.yaml")
}
