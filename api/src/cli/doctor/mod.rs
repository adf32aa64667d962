//! `stoker doctor`: checks everything that an installation needs, and prints what to do.
//!
//! **Invariant:** it changes nothing, every wait has a limit, and a credential goes only where the manager would
//! send it. Each check has its own file and returns findings, which are printed at the end.

mod call;
mod certificate;
mod clock;
mod collector;
mod configuration;
mod database;
mod finding;
mod folder;
mod harbor;
mod ports;
mod registries;
mod running;
mod sign_in;

use std::path::PathBuf;

use clap::Args;
use futures_util::future::join_all;
use reqwest::Client;
use settings::Flags;
use url::Url;

use self::finding::{Finding, any_failed, json, summary};
use self::ports::Port;
use super::output;
use super::stop::{FAILED, Stop};
use crate::config::{AddressFlags, ManagerConfig, ManagerFlags, Program};

/// Check everything that an installation needs, and print what to do.
#[derive(Debug, Args)]
#[command(after_help = "\
One line for each check:
  ok | warn | FAIL  check: result -> what to do

Exit codes: 0 no check failed · 1 a check failed.

Examples:
  stoker doctor --config /etc/stoker/stoker.toml
  stoker doctor --config /etc/stoker/stoker.toml --harbor https://harbor.example.com
  stoker doctor --data-dir ./data --manager http://127.0.0.1:8080 --token-file ./data/admin.token --json")]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    flags: Flags<ManagerFlags>,
    #[command(flatten)]
    addresses: Flags<AddressFlags>,
    /// URL of Harbor: check that it answers, and print what to enter there.
    #[arg(long, env = "STOKER_HARBOR", value_name = "URL")]
    harbor: Option<Url>,
    /// URL of a running manager: check its version and its peers.
    #[arg(long, env = "STOKER_MANAGER", value_name = "URL")]
    manager: Option<Url>,
    /// File with a token for that manager, with scope `read`.
    #[arg(long, env = "STOKER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, env = "STOKER_JSON")]
    json: bool,
}

pub(crate) async fn run(arguments: DoctorArguments) -> Result<(), Stop> {
    let as_json = arguments.json;
    let findings = examine(arguments).await.map_err(Stop::failed)?;
    if as_json {
        output::say(json(&findings));
    } else {
        for finding in &findings {
            output::say(finding.line());
        }
        output::say(summary(&findings));
    }
    if any_failed(&findings) {
        return Err(Stop::silent(FAILED));
    }
    Ok(())
}

async fn examine(arguments: DoctorArguments) -> Result<Vec<Finding>, process::http::ClientError> {
    let curious = process::http::curious_client()?;
    let DoctorArguments {
        flags,
        addresses,
        harbor,
        manager,
        token_file,
        ..
    } = &arguments;
    let declared = &flags.arguments;
    let (file, folder) = (declared.config.clone(), declared.data_dir.clone());
    let given = flags.given.clone().and(addresses.given.clone());
    let read = ManagerConfig::read(file.as_deref(), given, &Program::MANAGER);
    let mut findings = configuration::check(&read, file.as_deref());
    let config = read.map(|read| read.value).ok();
    match &config {
        Some(config) => findings.extend(configured(config, &curious).await),
        // Without a valid configuration, the folder from the flags can still be checked.
        None => findings.extend(folder.iter().flat_map(|folder| folder::check(folder))),
    }
    if let Some(url) = harbor {
        findings.push(harbor::check(url, &curious).await);
        let provider = config
            .as_ref()
            .map(|config| harbor::provider_to_enter(config, &own_name()));
        findings.extend(provider);
    }
    if let Some(url) = manager {
        findings.extend(running::check(url, token_file.clone(), &curious).await);
    }
    Ok(findings)
}

/// Checks everything that a valid configuration names; all registries at the same time.
async fn configured(config: &ManagerConfig, curious: &Client) -> Vec<Finding> {
    let mut findings = folder::check(&config.data_dir);
    findings.extend(database::check(&config.database_url).await);
    for port in ports_of(config) {
        findings.push(port.check(curious).await);
    }
    findings.extend(all_registries(config).await);
    findings.push(collector::check(config.telemetry.otlp_endpoint.as_deref()).await);
    findings
}

async fn all_registries(config: &ManagerConfig) -> Vec<Finding> {
    let registries = config.registries.iter();
    let checks =
        registries.map(|registry| registries::check(registry.settings.clone(), clients::client_factory()));
    join_all(checks).await.into_iter().flatten().collect()
}

fn ports_of(config: &ManagerConfig) -> [Port<'_>; 3] {
    [
        Port {
            what: "port",
            key: "listen",
            address: &config.listen,
            path: "/openapi.json",
            contains: "\"title\": \"Stoker\"",
        },
        Port {
            what: "peer port",
            key: "peer-listen",
            address: &config.peer_listen,
            path: "/",
            contains: "peers' port",
        },
        Port {
            what: "admin port",
            key: "admin",
            address: &config.admin,
            path: "/server/ping",
            contains: "pong",
        },
    ]
}

fn own_name() -> String {
    let name = hostname::get().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "THIS-MACHINE".to_owned())
}

/// Reads a configuration file, for tests.
#[cfg(test)]
fn read(file: Option<&std::path::Path>) -> Result<settings::Read<ManagerConfig>, settings::Faults> {
    ManagerConfig::read(file, settings::Given::default(), &Program::MANAGER)
}
