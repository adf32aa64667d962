//! `stoker harbor status`: prints what Stoker has in a Harbor, and whether Harbor reaches the manager. Changes nothing.
//!
//! It ends with 0 only if policies of this Harbor can preheat.

use clap::Args;

use super::super::output;
use super::super::stop::{FAILED, Stop};
use super::instance::{self, Instance};
use super::policy::{self, StoredPolicy};
use super::site::{HarborFlags, stop_of, version};
use super::their_api::TheirApi;
use super::token;
use crate::cli::client::{Api, ServerFlags};

/// Show the instance, its token and its policies in Harbor, and let Harbor ping the manager.
#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    site: HarborFlags,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(arguments: StatusArguments) -> Result<(), Stop> {
    let StatusArguments { site, server } = &arguments;
    let manager = Api::new(server)?;
    let harbor = site.api()?;
    let version = version(&harbor).await?;
    output::say(format!("harbor    {} is version {version}", site.harbor));
    let Some(instance) = instance::find(&harbor, &site.name).await.map_err(stop_of)? else {
        return Err(Stop::failed(format!(
            "Harbor has no instance {:?}: create it with stoker harbor connect",
            site.name
        )));
    };
    let checks = [
        say_instance(&instance),
        say_tokens(&manager, site).await?,
        say_ping(&harbor, &instance).await,
        say_policies(&harbor, &instance).await?,
    ];
    if checks.contains(&false) {
        return Err(Stop::silent(FAILED));
    }
    Ok(())
}

fn say_instance(instance: &Instance) -> bool {
    output::say(instance.line(if instance.enabled { "" } else { ", disabled" }));
    if !instance.enabled {
        output::remark("The instance is disabled: enable it in Harbor (Administration, Distributions).");
    }
    instance.enabled
}

async fn say_tokens(manager: &Api, site: &HarborFlags) -> Result<bool, Stop> {
    let tokens = token::live(manager, site).await?;
    for token in &tokens {
        let ends = token.expires_at.as_ref();
        let ends = ends.map_or_else(
            || "without an end".to_owned(),
            |ends| format!("valid until {ends}"),
        );
        output::say(format!("token     {} ({}), {ends}", token.id, token.name));
    }
    if tokens.is_empty() {
        output::say("token     none");
        output::remark("The manager has no token for this Harbor: run stoker harbor connect again.");
    }
    Ok(!tokens.is_empty())
}

async fn say_ping(harbor: &TheirApi, instance: &Instance) -> bool {
    match instance::ping(harbor, instance).await {
        Ok(()) => {
            output::say("ping      Harbor reaches the manager, and the manager accepts the token");
            true
        }
        Err(error) => {
            output::say("ping      failed");
            output::remark(error.to_string());
            false
        }
    }
}

async fn say_policies(harbor: &TheirApi, instance: &Instance) -> Result<bool, Stop> {
    let policies = policy::list(harbor).await.map_err(stop_of)?;
    let ours: Vec<&StoredPolicy> = policies
        .iter()
        .filter(|policy| policy.policy.provider_id == instance.id)
        .collect();
    for policy in &ours {
        let state = if policy.policy.enabled { "" } else { ", disabled" };
        let last = policy.last_execution(harbor).await.map_err(stop_of)?;
        output::say(format!(
            "policy    {} ({}{state}), last execution: {}",
            policy.title(),
            policy.when(),
            last.as_deref().unwrap_or("none")
        ));
    }
    if ours.is_empty() {
        output::say("policy    none");
        output::remark("No policy uses the instance: run stoker harbor connect, or stoker harbor import.");
    }
    Ok(!ours.is_empty())
}
