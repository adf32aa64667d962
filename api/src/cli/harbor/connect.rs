//! `stoker harbor connect`: creates a token, an instance and a policy, lets Harbor ping the manager, and runs the policy
//! on request. It prints each step, and reads back what it wrote to Harbor.
//!
//! Each further run updates what exists and gives Harbor a new token. Everything that can be checked is checked before
//! the first change.

use std::time::Duration;

use clap::Args;

use super::super::output;
use super::super::stop::Stop;
use super::execution;
use super::instance::{Vendor, shown};
use super::policy::{self, PreparedPolicy, Trigger};
use super::provider::{Provider, ProviderFlags};
use super::site::{HarborFlags, name_in_harbor, version};

/// Create the instance and a policy in Harbor, and check the result.
#[derive(Debug, Args)]
pub(super) struct ConnectArguments {
    #[command(flatten)]
    site: HarborFlags,
    /// Project whose images are preheated.
    #[arg(long, env = "STOKER_HARBOR_PROJECT")]
    project: String,
    #[command(flatten)]
    provider_flags: ProviderFlags,
    /// Name of the policy in the project.
    #[arg(long, default_value = "stoker", value_parser = name_in_harbor)]
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
    /// Check everything and print what would change, but change nothing.
    #[arg(long, conflicts_with = "run")]
    dry_run: bool,
    /// Run the policy once and wait for Harbor's result.
    #[arg(long)]
    run: bool,
    /// Poll interval while Harbor runs.
    #[arg(long, hide = true, value_parser = milliseconds)]
    pace_ms: Option<Duration>,
}

pub(super) async fn run(arguments: ConnectArguments) -> Result<(), Stop> {
    let ConnectArguments { site, project, .. } = &arguments;
    let manager = arguments.provider_flags.manager()?;
    let endpoint = arguments.provider_flags.endpoint()?;
    let harbor = site.api()?;
    let version = version(&harbor).await?;
    output::say(format!("harbor    {} is version {version}", site.harbor));
    let scope = arguments.scope.map(|scope| scope.to_string());
    let wanted = wanted_policy(&arguments, scope.as_deref());
    let prepared = policy::prepare(&harbor, version, &wanted).await;
    let prepared = prepared.map_err(Stop::failed)?;
    let provider = Provider {
        harbor: &harbor,
        version,
        site,
        flags: &arguments.provider_flags,
        vendor: arguments.provider,
    };
    if arguments.dry_run {
        let before = provider.before(&endpoint).await?;
        let before = before.map(|instance| shown(&instance.endpoint));
        say_what_would_change(&arguments, endpoint.as_str(), before.as_deref(), &prepared);
        return Ok(());
    }
    let instance = provider.ensure(&manager, &endpoint).await?;
    let stored = policy::store(&harbor, prepared, instance.id).await;
    stored.map_err(Stop::failed)?;
    output::say(format!("policy    {} in project {project}", arguments.policy));
    if !arguments.run {
        output::remark(
            "Try it: the same command with --run, or \"Execute\" in the project's P2P Preheat tab.",
        );
        return Ok(());
    }
    let tasks = execution::run(&harbor, project, &arguments.policy, arguments.pace_ms).await;
    let tasks = tasks.map_err(Stop::failed)?;
    output::say(format!("run       {tasks} of {tasks} tasks succeeded in Harbor"));
    Ok(())
}

fn wanted_policy<'a>(arguments: &'a ConnectArguments, scope: Option<&'a str>) -> policy::WantedPolicy<'a> {
    policy::WantedPolicy {
        project: &arguments.project,
        name: &arguments.policy,
        repository: &arguments.repository,
        tag: &arguments.tag,
        trigger: &arguments.on,
        scope,
        clusters: &arguments.clusters,
    }
}

fn say_what_would_change(
    arguments: &ConnectArguments,
    endpoint: &str,
    before: Option<&str>,
    policy: &PreparedPolicy,
) {
    let name = &arguments.site.name;
    output::say("token     would be created; tokens of earlier runs would be revoked");
    output::say(match before {
        Some(before) => format!("instance  {name} would be updated: {before} -> {endpoint}"),
        None => format!("instance  {name} would be created at {endpoint}"),
    });
    let verb = if policy.exists() { "updated" } else { "created" };
    output::say(format!(
        "policy    {} in project {} would be {verb}",
        arguments.policy, arguments.project
    ));
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
