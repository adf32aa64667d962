//! `stoker harbor import`: shows the policies of a Harbor that use Dragonfly, and points them at Stoker.
//!
//! Harbor does not return the secret of an instance, so the instances of Dragonfly stay as they are: only the policies
//! change, and only in the instance that they name. **Invariant:** what was before is in a file before the first policy
//! changes, and that file never replaces another.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::output::{self, Table};
use super::super::stop::{FAILED, Stop};
use super::generation::Version;
use super::instance::{self, Instance, Vendor, shown};
use super::policy::{self, StoredPolicy};
use super::provider::{Provider, ProviderFlags};
use super::site::{HarborFlags, stop_of, version};
use super::their_api::TheirApi;
use super::undo::{MovedPolicy, Undo};

/// Show the policies that use Dragonfly; with --apply, point them at Stoker.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  stoker harbor import --harbor https://harbor.example.com                         # shows, changes nothing
  stoker harbor import --harbor https://harbor.example.com --apply --save before.json \\
      --endpoint http://stoker.example.com:8080 --token-file /var/lib/stoker/admin.token
  stoker harbor import --harbor https://harbor.example.com --undo before.json      # as it was")]
pub(super) struct ImportArguments {
    #[command(flatten)]
    site: HarborFlags,
    #[command(flatten)]
    provider_flags: ProviderFlags,
    /// Create Stoker's instance if it is missing, and point the policies at it.
    #[arg(long, conflicts_with_all = ["undo", "dry_run"])]
    apply: bool,
    /// File to which --apply writes what was before. It must not exist.
    #[arg(long, value_name = "FILE", default_value = "stoker-harbor-import.json")]
    save: PathBuf,
    /// Point the policies in this file at the instances that they had.
    #[arg(long, value_name = "FILE")]
    undo: Option<PathBuf>,
    /// Print what would change, but change nothing. This is the default without --apply and --undo.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(arguments: ImportArguments) -> Result<(), Stop> {
    let harbor = arguments.site.api()?;
    match &arguments.undo {
        Some(file) => undo(&harbor, file, &arguments).await,
        None => import(&harbor, &arguments).await,
    }
}

async fn import(harbor: &TheirApi, arguments: &ImportArguments) -> Result<(), Stop> {
    let version = version(harbor).await?;
    output::say(format!(
        "harbor    {} is version {version}",
        arguments.site.harbor
    ));
    let found = Found::in_harbor(harbor, &arguments.site.name).await?;
    found.say();
    if found.policies.is_empty() {
        output::say("nothing   no policy of this Harbor uses Dragonfly");
        return Ok(());
    }
    if !arguments.apply {
        output::remark("Nothing was changed. Point these policies at Stoker: the same command with --apply.");
        return Ok(());
    }
    apply(harbor, version, &found, arguments).await
}

async fn apply(
    harbor: &TheirApi,
    version: Version,
    found: &Found,
    arguments: &ImportArguments,
) -> Result<(), Stop> {
    let manager = arguments.provider_flags.manager()?;
    let endpoint = arguments.provider_flags.endpoint()?;
    refuse_existing(&arguments.save)?;
    let provider = Provider {
        harbor,
        version,
        site: &arguments.site,
        flags: &arguments.provider_flags,
        vendor: Vendor::Dragonfly,
    };
    let stoker = provider.ensure(&manager, &endpoint).await?;
    let before = Undo::new(&arguments.site.harbor, &stoker, found.moved());
    before.write(&arguments.save).map_err(Stop::failed)?;
    let file = arguments.save.display();
    output::say(format!("saved     {file}"));
    for policy in &found.policies {
        let moved = policy.point_at(harbor, stoker.id).await;
        moved.map_err(|error| {
            Stop::failed(format!(
                "policy {} was not changed: {error}. Policies before it were: undo them with --undo {file}",
                policy.title()
            ))
        })?;
        output::say(format!("policy    {} uses {}", policy.title(), stoker.name));
    }
    output::remark(format!("Undo it: stoker harbor import --undo {file}"));
    Ok(())
}

/// Fails early, before a token is created. Writing fails too if the file exists by then.
fn refuse_existing(file: &Path) -> Result<(), Stop> {
    if file.exists() {
        return Err(Stop::usage(format!(
            "--save {} exists, and may be what undoes an earlier import: give another file",
            file.display()
        )));
    }
    Ok(())
}

/// What uses Dragonfly in a Harbor.
struct Found {
    instances: Vec<Instance>,
    policies: Vec<StoredPolicy>,
}

impl Found {
    async fn in_harbor(harbor: &TheirApi, ours: &str) -> Result<Self, Stop> {
        let mut instances = instance::list(harbor).await.map_err(stop_of)?;
        instances.retain(|instance| {
            let is_dragonfly = instance.vendor == Vendor::Dragonfly.word();
            is_dragonfly && instance.name != ours && !instance.is_of_stoker()
        });
        let mut policies = policy::list(harbor).await.map_err(stop_of)?;
        policies.retain(|policy| {
            instances
                .iter()
                .any(|instance| instance.id == policy.policy.provider_id)
        });
        Ok(Self { instances, policies })
    }

    fn say(&self) {
        for instance in &self.instances {
            let uses = self.policies.iter();
            let uses = uses.filter(|policy| policy.policy.provider_id == instance.id);
            output::say(format!(
                "instance  {} at {} ({}): {} policies",
                instance.name,
                shown(&instance.endpoint),
                instance.auth_mode,
                uses.count()
            ));
        }
        if self.policies.is_empty() {
            return;
        }
        let mut table = Table::new(["POLICY", "INSTANCE", "WHEN", "ENABLED"]);
        for policy in &self.policies {
            table.row([
                policy.title(),
                self.instance_of(policy).to_owned(),
                policy.when(),
                if policy.policy.enabled { "yes" } else { "no" }.to_owned(),
            ]);
        }
        table.say();
        for policy in self.policies.iter().filter(|policy| policy.names_clusters()) {
            output::remark(format!(
                "Policy {} names clusters by Dragonfly's ids. Compare them with Stoker's: stoker peers",
                policy.title()
            ));
        }
    }

    fn instance_of(&self, policy: &StoredPolicy) -> &str {
        let found = self
            .instances
            .iter()
            .find(|instance| instance.id == policy.policy.provider_id);
        found.map_or("?", |instance| &instance.name)
    }

    fn moved(&self) -> Vec<MovedPolicy> {
        let moved = self.policies.iter().map(|policy| MovedPolicy {
            project: policy.project.clone(),
            policy: policy.policy.name.clone(),
            instance_id: policy.policy.provider_id,
            instance: self.instance_of(policy).to_owned(),
        });
        moved.collect()
    }
}

/// What is done about one policy of the file.
enum Step {
    Restore(StoredPolicy),
    /// It has its earlier instance already.
    Done,
    /// With the reason.
    Skip(&'static str),
}

async fn undo(harbor: &TheirApi, file: &Path, arguments: &ImportArguments) -> Result<(), Stop> {
    let before = Undo::read(file).map_err(Stop::usage)?;
    before.check(&arguments.site.harbor).map_err(Stop::usage)?;
    let instances = instance::list(harbor).await.map_err(stop_of)?;
    let mut all_done = true;
    for moved in &before.policies {
        let step = step(harbor, &before, moved, &instances).await?;
        all_done &= restore(harbor, moved, step, arguments.dry_run).await?;
    }
    if !all_done {
        return Err(Stop::silent(FAILED));
    }
    if !arguments.dry_run {
        output::remark("Stoker's instance is still in Harbor. Delete it: stoker harbor disconnect");
    }
    Ok(())
}

/// Returns whether the policy has its earlier instance, or would have.
async fn restore(harbor: &TheirApi, moved: &MovedPolicy, step: Step, dry_run: bool) -> Result<bool, Stop> {
    let (title, instance) = (moved.title(), &moved.instance);
    match step {
        Step::Done => output::say(format!("policy    {title} uses {instance} already")),
        Step::Restore(_) if dry_run => {
            output::say(format!("policy    {title} would use {instance} again"));
        }
        Step::Restore(policy) => {
            let restored = policy.point_at(harbor, moved.instance_id).await;
            restored.map_err(|error| Stop::failed(format!("policy {title} was not restored: {error}")))?;
            output::say(format!("policy    {title} uses {instance} again"));
        }
        Step::Skip(reason) => {
            output::say(format!("policy    {title} left as it is: {reason}"));
            return Ok(false);
        }
    }
    Ok(true)
}

async fn step(
    harbor: &TheirApi,
    before: &Undo,
    moved: &MovedPolicy,
    instances: &[Instance],
) -> Result<Step, Stop> {
    let found = policy::find(harbor, &moved.project, &moved.policy).await;
    let Some(policy) = found.map_err(stop_of)? else {
        return Ok(Step::Skip("Harbor does not have it any more"));
    };
    let has_instance = instances
        .iter()
        .any(|instance| instance.id == moved.instance_id && instance.name == moved.instance);
    Ok(match policy.policy.provider_id {
        id if id == moved.instance_id => Step::Done,
        id if id != before.stoker_id => Step::Skip("somebody gave it another instance since"),
        _ if !has_instance => Step::Skip("Harbor does not have its earlier instance any more"),
        _ => Step::Restore(policy),
    })
}
