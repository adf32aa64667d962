//! `stoker preheats`: lists and shows preheats.

use std::collections::BTreeMap;

use api::types::{ObjectBody, Objects, PlacementBody, PreheatBody, PreheatState, Preheats};
use clap::Args;
use preheat::Label;

use super::output;
use super::output::{Table, percent, short, to_the_second};
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags, query};

/// List preheats, newest first, or show one with its objects and placements.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stoker preheats
  stoker preheats --state open
  stoker preheats --state failed,cancelled --image library/nginx --since 2026-11-21T00:00:00Z
  stoker preheats --label team=payments --label stage=prod
  stoker preheats 17")]
pub(crate) struct PreheatsArguments {
    /// Show the preheat with this id, its objects and placements.
    id: Option<i64>,
    /// Number of preheats to list, at most 200.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Only in these states, separated by commas: open, waiting, resolving, placing, succeeded, failed, cancelled.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only if the image reference contains this text.
    #[arg(long, value_name = "TEXT")]
    image: Option<String>,
    /// Only images of this registry.
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,
    /// Only preheats created at this time or later: 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only with this label; repeatable, and all must match.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<Label>,
    /// Only preheats with a smaller id: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: PreheatsArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    match arguments.id {
        Some(id) => one(&api, id).await,
        None => list(&api, &arguments).await,
    }
}

async fn list(api: &Api, arguments: &PreheatsArguments) -> Result<(), Stop> {
    let page: Preheats = api.get(&path_of(arguments)).await?;
    if page.preheats.is_empty() {
        output::remark(nothing_found(arguments));
        return Ok(());
    }
    let mut table = Table::new([
        "ID", "STATE", "DONE", "SCOPE", "ASKED", "IMAGE", "LABELS", "TRACE",
    ]);
    for preheat in page.preheats {
        let trace = preheat.trace().unwrap_or("-").to_owned();
        let labels = words_of(&preheat.labels);
        table.row([
            preheat.id.to_string(),
            preheat.state.word().to_owned(),
            percent(preheat.bytes_done, preheat.bytes_total),
            preheat.scope,
            to_the_second(&preheat.created_at),
            preheat.image,
            labels,
            trace,
        ]);
    }
    table.say();
    if let Some(before) = page.next_before {
        output::remark(format!("There may be more: add --before {before}"));
    }
    Ok(())
}

fn path_of(arguments: &PreheatsArguments) -> String {
    let (limit, before) = (
        arguments.limit.to_string(),
        arguments.before.map(|id| id.to_string()),
    );
    let all = [
        ("limit", Some(&limit)),
        ("before", before.as_ref()),
        ("state", arguments.state.as_ref()),
        ("image", arguments.image.as_ref()),
        ("registry", arguments.registry.as_ref()),
        ("since", arguments.since.as_ref()),
    ];
    let mut given: Vec<(&str, &str)> = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.as_str())))
        .collect();
    let labels: Vec<String> = arguments.labels.iter().map(Label::to_string).collect();
    given.extend(labels.iter().map(|label| ("label", label.as_str())));
    query("/api/v1/preheats", &given)
}

fn nothing_found(arguments: &PreheatsArguments) -> &'static str {
    let is_filtered = arguments.state.is_some()
        || arguments.image.is_some()
        || arguments.registry.is_some()
        || arguments.since.is_some()
        || !arguments.labels.is_empty()
        || arguments.before.is_some();
    if is_filtered {
        "No preheat matches."
    } else {
        "There are no preheats yet. Start with: stoker preheat IMAGE"
    }
}

async fn one(api: &Api, id: i64) -> Result<(), Stop> {
    let preheat: PreheatBody = api.get(&format!("/api/v1/preheats/{id}")).await?;
    let Objects { objects } = api.get(&format!("/api/v1/preheats/{id}/objects")).await?;
    head(&preheat);
    if objects.is_empty() {
        return Ok(());
    }
    output::say("");
    let mut table = Table::new([
        "OBJECT", "KIND", "PLATFORM", "SIZE", "PEER", "STATE", "DONE", "REGISTRY", "PEERS",
    ]);
    for object in &objects {
        for placement in &object.placements {
            table.row(placement_row(object, placement));
        }
    }
    table.say();
    failures(&objects);
    Ok(())
}

fn head(preheat: &PreheatBody) {
    let say = |key: &str, value: &str| output::say(format!("{key:<9} {value}"));
    say("image", &preheat.image);
    say("digest", preheat.digest.as_deref().unwrap_or("not resolved yet"));
    say("state", preheat.state.word());
    if matches!(preheat.state, PreheatState::Failed | PreheatState::Cancelled) || preheat.reason.is_some() {
        say("reason", &preheat.why());
    }
    if let Some(leader) = preheat.follows {
        say("follows", &format!("{leader}, whose work this preheat shares"));
    }
    if preheat.attempt > 1 {
        say("attempt", &preheat.attempt.to_string());
    }
    for note in &preheat.notes {
        say("note", note);
    }
    if !preheat.labels.is_empty() {
        say("labels", &words_of(&preheat.labels));
    }
    say("scope", &preheat.scope);
    let counts = &preheat.placements;
    say(
        "placed",
        &format!(
            "{} of {}, {} failed",
            counts.verified, counts.total, counts.failed
        ),
    );
    say(
        "bytes",
        &format!(
            "{} of {}",
            output::bytes(preheat.bytes_done),
            output::bytes(preheat.bytes_total)
        ),
    );
    say("asked", &preheat.created_at.to_string());
    let ended = preheat.finished_at.map(|at| at.to_string());
    say("ended", ended.as_deref().unwrap_or("not yet"));
    if let Some(trace) = &preheat.trace_id {
        say("trace", trace);
    }
    if let Some(link) = &preheat.trace_url {
        say("link", link);
    }
}

fn words_of(labels: &BTreeMap<String, String>) -> String {
    let words: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    words.join(" ")
}

fn placement_row(object: &ObjectBody, placement: &PlacementBody) -> [String; 9] {
    [
        short(&object.digest),
        object.kind.clone(),
        object.platform.clone().unwrap_or_else(|| "-".to_owned()),
        output::bytes(object.size),
        placement.peer_name.clone(),
        placement.state.word().to_owned(),
        percent(placement.bytes_done, object.size),
        output::bytes(placement.bytes_from_registry),
        output::bytes(placement.bytes_from_peers),
    ]
}

fn failures(objects: &[ObjectBody]) {
    let placements = objects
        .iter()
        .flat_map(|object| object.placements.iter().map(move |placed| (object, placed)));
    for (object, placement) in placements {
        if let Some(reason) = &placement.reason {
            output::say(format!(
                "\n{} on {}: {reason}",
                object.digest, placement.peer_name
            ));
        }
    }
}
