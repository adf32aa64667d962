//! `stoker harbor connect`: creates a token, an instance and a policy, lets Harbor ping the manager, and runs the policy
//! on request. It prints each step, and reads back what it wrote to Harbor.
//!
//! A second run updates what exists and gives Harbor a new token. A token that Harbor did not get is revoked.

use std::path::PathBuf;
use std::time::Duration;

use api::types::{CreateToken, NewToken, Tokens};
use clap::Args;
use process::http::ClientOptions;
use serde::Deserialize;
use wire::SecretText;

use super::super::output;
use super::super::stop::Stop;
use super::address::Endpoint;
use super::generation::Version;
use super::instance::{self, Instance, Vendor};
use super::policy::{self, Trigger};
use super::their_api::{HarborError, TheirApi};
use super::{execution, instance::shown};
use crate::cli::client::{Api, ServerFlags};

/// Create the instance and a policy in Harbor, and check the result.
#[derive(Debug, Args)]
pub(super) struct ConnectArguments {
    /// URL of Harbor.
    #[arg(long, env = "STOKER_HARBOR", value_name = "URL")]
    harbor: String,
    /// Harbor user that may administer distribution: an administrator or a robot account.
    #[arg(long, env = "STOKER_HARBOR_USER", default_value = "admin")]
    user: String,
    /// File with that user's password. [default: the password in `STOKER_HARBOR_PASSWORD`]
    #[arg(long, env = "STOKER_HARBOR_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// PEM file with more certificate authorities to trust for Harbor.
    #[arg(long, env = "STOKER_HARBOR_CA_FILE", value_name = "FILE")]
    harbor_ca_file: Option<PathBuf>,
    /// Project whose images are preheated.
    #[arg(long, env = "STOKER_HARBOR_PROJECT")]
    project: String,
    /// URL at which Harbor's containers reach the manager. [default: --server, unless that is loopback]
    #[arg(long, env = "STOKER_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,
    /// Let Harbor skip verification of the manager's certificate.
    #[arg(long)]
    harbor_trusts_any_certificate: bool,
    /// Name of the instance in Harbor.
    #[arg(long, default_value = "stoker")]
    name: String,
    /// Name of the policy in the project.
    #[arg(long, default_value = "stoker")]
    policy: String,
    /// Harbor's driver. With kraken, Harbor's "Success" only means that the manager got the request.
    #[arg(long, value_enum, default_value_t = Vendor::Dragonfly)]
    provider: Vendor,
    /// Trigger: push, manual, or a schedule of six fields.
    #[arg(long, default_value = "push", value_name = "WHEN")]
    on: Trigger,
    /// Pattern of repositories in the project, in Harbor's syntax.
    #[arg(long, default_value = "**", value_name = "PATTERN")]
    repository: String,
    /// Pattern of tags, in Harbor's syntax.
    #[arg(long, default_value = "**", value_name = "PATTERN")]
    tag: String,
    /// `single_seed_peer`, `all_seed_peers` or `all_peers` (Harbor 2.12 and newer). [default: `single_seed_peer`]
    #[arg(long)]
    scope: Option<preheat::Scope>,
    /// Only this cluster, by id (Harbor 2.13 and newer); repeatable.
    #[arg(long = "cluster-id", value_name = "ID")]
    clusters: Vec<i64>,
    /// Run the policy once and wait for Harbor's result.
    #[arg(long)]
    run: bool,
    /// Poll interval while Harbor runs.
    #[arg(long, hide = true, value_parser = milliseconds)]
    pace_ms: Option<Duration>,
    #[command(flatten)]
    server: ServerFlags,
}

#[derive(Deserialize)]
struct SystemInfo {
    #[serde(default)]
    harbor_version: String,
}

pub(super) async fn run(arguments: ConnectArguments) -> Result<(), Stop> {
    let manager = Api::new(&arguments.server)?;
    let endpoint = Endpoint::choose(arguments.endpoint.as_deref(), &arguments.server.server);
    let endpoint = endpoint.map_err(Stop::usage)?;
    let harbor = their_api(&arguments)?;
    let version = version(&harbor).await?;
    output::say(format!("harbor    {} is version {version}", arguments.harbor));
    let token = HarborToken::create(&manager, &arguments, version).await?;
    let connected = connect(&harbor, version, &endpoint, &token, &arguments).await;
    if let Err(stop) = connected {
        token.revoke(&manager).await;
        return Err(stop);
    }
    token.revoke_older(&manager).await?;
    if arguments.run {
        let tasks = execution::run(&harbor, &arguments.project, &arguments.policy, arguments.pace_ms).await;
        let tasks = tasks.map_err(Stop::failed)?;
        output::say(format!("run       {tasks} of {tasks} tasks succeeded in Harbor"));
    } else {
        output::remark(
            "Try it: the same command with --run, or \"Execute\" in the project's P2P Preheat tab.",
        );
    }
    Ok(())
}

async fn connect(
    harbor: &TheirApi,
    version: Version,
    endpoint: &Endpoint,
    token: &HarborToken,
    arguments: &ConnectArguments,
) -> Result<(), Stop> {
    let endpoint = if token.in_path {
        endpoint.below(token.text.expose()).map_err(Stop::usage)?
    } else {
        endpoint.clone()
    };
    let instance = instance_in(harbor, &endpoint, token, arguments)
        .await
        .map_err(Stop::failed)?;
    let scope = arguments.scope.map(|scope| scope.to_string());
    let wanted = policy::WantedPolicy {
        project: &arguments.project,
        name: &arguments.policy,
        provider: instance.id,
        repository: &arguments.repository,
        tag: &arguments.tag,
        trigger: &arguments.on,
        scope: scope.as_deref(),
        clusters: &arguments.clusters,
    };
    policy::ensure(harbor, version, &wanted)
        .await
        .map_err(Stop::failed)?;
    output::say(format!(
        "policy    {} in project {}",
        arguments.policy, arguments.project
    ));
    Ok(())
}

async fn instance_in(
    harbor: &TheirApi,
    endpoint: &Endpoint,
    token: &HarborToken,
    arguments: &ConnectArguments,
) -> Result<Instance, instance::InstanceError> {
    let wanted = instance::WantedInstance {
        name: &arguments.name,
        vendor: arguments.provider,
        endpoint,
        token: (!token.in_path).then_some(&token.text),
        insecure: arguments.harbor_trusts_any_certificate,
    };
    let instance = instance::ensure(harbor, &wanted).await?;
    output::say(format!(
        "instance  {} at {} ({}, {})",
        instance.name,
        shown(&instance.endpoint),
        instance.vendor,
        instance.auth_mode
    ));
    instance::ping(harbor, &instance).await?;
    output::say("ping      Harbor reaches the manager, and the manager accepts the token");
    Ok(instance)
}

/// The token that this run created for Harbor.
struct HarborToken {
    id: String,
    name: String,
    text: SecretText,
    /// The token is in the endpoint's path, because this Harbor sends no credential.
    in_path: bool,
}

impl HarborToken {
    async fn create(manager: &Api, arguments: &ConnectArguments, version: Version) -> Result<Self, Stop> {
        let in_path = !version.sends_credentials();
        let host = url::Url::parse(&arguments.harbor).ok();
        let host = host.as_ref().and_then(url::Url::host_str).unwrap_or("harbor");
        let name = format!("{} of {host}", arguments.name);
        let scopes: &[&str] = if in_path { &[] } else { &["preheat", "read"] };
        let body = CreateToken {
            kind: in_path.then(|| "endpoint".to_owned()),
            name: name.clone(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            expires: Some("365d".to_owned()),
        };
        let made: NewToken = manager.post("/api/v1/tokens", &body).await?;
        output::say(format!(
            "token     {} ({name}), valid until {}",
            made.id, made.expires_at
        ));
        Ok(Self {
            id: made.id,
            name,
            text: made.token,
            in_path,
        })
    }

    /// Revokes a token that Harbor did not get.
    async fn revoke(&self, manager: &Api) {
        if manager
            .delete(&format!("/api/v1/tokens/{}", self.id))
            .await
            .is_err()
        {
            output::remark(format!(
                "Token {} could not be revoked. Revoke it: stoker token revoke {}",
                self.id, self.id
            ));
        }
    }

    /// Revokes the tokens of earlier runs.
    async fn revoke_older(&self, manager: &Api) -> Result<(), Stop> {
        let Tokens { tokens } = manager.get("/api/v1/tokens").await?;
        let older = tokens
            .into_iter()
            .filter(|token| token.name == self.name && token.id != self.id && token.revoked_at.is_none());
        for token in older {
            manager.delete(&format!("/api/v1/tokens/{}", token.id)).await?;
            output::say(format!("token     {} of an earlier run is revoked", token.id));
        }
        Ok(())
    }
}

fn their_api(arguments: &ConnectArguments) -> Result<TheirApi, Stop> {
    let trust = ClientOptions {
        ca_pem: arguments
            .harbor_ca_file
            .as_ref()
            .map(|file| read(file, "--harbor-ca-file"))
            .transpose()?,
        ..ClientOptions::default()
    };
    let password = password(arguments)?;
    TheirApi::new(&arguments.harbor, arguments.user.clone(), password, &trust).map_err(Stop::usage)
}

async fn version(harbor: &TheirApi) -> Result<Version, Stop> {
    let info: SystemInfo = harbor.get("/systeminfo").await.map_err(stop_of)?;
    Version::parse(&info.harbor_version).map_err(Stop::failed)
}

fn stop_of(error: HarborError) -> Stop {
    match error {
        HarborError::Unreachable { .. } => Stop::no_response(error),
        other => Stop::failed(other),
    }
}

/// `STOKER_HARBOR_PASSWORD` has no flag: every user could read a flag in the list of processes.
#[expect(
    clippy::disallowed_methods,
    reason = "read once, by the command line, which clap cannot do without a flag"
)]
fn password(arguments: &ConnectArguments) -> Result<SecretText, Stop> {
    let text = match &arguments.password_file {
        Some(file) => read(file, "--password-file")?,
        None => std::env::var("STOKER_HARBOR_PASSWORD").unwrap_or_default(),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Stop::usage(
            "no password for Harbor: set STOKER_HARBOR_PASSWORD or give --password-file",
        ));
    }
    Ok(SecretText::new(text))
}

fn read(file: &std::path::Path, flag: &str) -> Result<String, Stop> {
    std::fs::read_to_string(file)
        .map_err(|error| Stop::usage(format!("{flag} {} cannot be read: {error}", file.display())))
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
