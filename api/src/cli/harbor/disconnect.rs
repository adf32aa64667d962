//! `stoker harbor disconnect`: deletes the policies and the instance that `connect` created, and revokes the tokens.
//!
//! **Invariant:** only an instance that `connect` or `import` wrote is deleted, and policies of other names only on
//! request. Nothing changes if others are in the way. A further run finds nothing and succeeds.

use clap::Args;

use super::super::output;
use super::super::stop::Stop;
use super::instance::{self, Instance};
use super::policy::{self, StoredPolicy};
use super::site::{HarborFlags, name_in_harbor, stop_of};
use super::their_api::TheirApi;
use super::token;
use crate::cli::client::{Api, ServerFlags};

/// Delete the instance and its policies in Harbor, and revoke its tokens.
#[derive(Debug, Args)]
pub(super) struct DisconnectArguments {
    #[command(flatten)]
    site: HarborFlags,
    /// Name of the policies to delete, in every project.
    #[arg(long, default_value = "stoker", value_parser = name_in_harbor)]
    policy: String,
    /// Delete every policy that uses the instance, whatever its name.
    #[arg(long)]
    all_policies: bool,
    /// Print what would be deleted, but change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(arguments: DisconnectArguments) -> Result<(), Stop> {
    let DisconnectArguments { site, dry_run, .. } = &arguments;
    let manager = Api::new(&arguments.server)?;
    let harbor = site.api()?;
    let instance = instance::find(&harbor, &site.name).await.map_err(stop_of)?;
    if let Some(other) = instance.as_ref().filter(|instance| !instance.is_of_stoker()) {
        return Err(Stop::failed(format!(
            "nothing was changed: instance {:?} was not written by stoker harbor connect; delete it in Harbor \
             (Administration, Distributions)",
            other.name
        )));
    }
    let policies = match &instance {
        Some(instance) => policies_of(&harbor, instance, &arguments).await?,
        None => Vec::new(),
    };
    let tokens = token::live(&manager, site).await?;
    for policy in &policies {
        if !dry_run {
            policy.delete(&harbor).await.map_err(stop_of)?;
        }
        say_gone("policy", &policy.title(), "deleted", *dry_run);
    }
    if let Some(instance) = &instance {
        if !dry_run {
            instance::delete(&harbor, &instance.name).await.map_err(stop_of)?;
        }
        say_gone("instance", &instance.name, "deleted", *dry_run);
    }
    for token in &tokens {
        if !dry_run {
            token::revoke(&manager, &token.id).await?;
        }
        say_gone("token", &token.id, "revoked", *dry_run);
    }
    if instance.is_none() && tokens.is_empty() {
        output::say(format!(
            "nothing   Harbor has no instance {}, and the manager has no token for it",
            site.name
        ));
    }
    Ok(())
}

fn say_gone(what: &str, name: &str, verb: &str, dry_run: bool) {
    let is = if dry_run { "would be" } else { "is" };
    output::say(format!("{what:<10}{name} {is} {verb}"));
}

/// Returns the policies to delete. Fails if others use the instance: Harbor would refuse to delete it.
async fn policies_of(
    harbor: &TheirApi,
    instance: &Instance,
    arguments: &DisconnectArguments,
) -> Result<Vec<StoredPolicy>, Stop> {
    let mut policies = policy::list(harbor).await.map_err(stop_of)?;
    policies.retain(|policy| policy.policy.provider_id == instance.id);
    let others: Vec<String> = policies
        .iter()
        .filter(|policy| policy.policy.name != arguments.policy && !arguments.all_policies)
        .map(StoredPolicy::title)
        .collect();
    if others.is_empty() {
        return Ok(policies);
    }
    Err(Stop::failed(format!(
        "nothing was changed: other policies use the instance: {}; point them elsewhere \
         (stoker harbor import --undo FILE), or give --all-policies",
        others.join(", ")
    )))
}
