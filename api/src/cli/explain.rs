//! `stoker explain`: explains why a node has an image or lacks it.

use api::types::{ExplainedObjectBody, ExplainedPreheatBody, ExplanationBody, FindingBody, PullBody};
use clap::Args;
use serde_json::Value;

use super::output;
use super::output::{Table, percent, printable, short, to_the_second};
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags, query, understood};

/// Letters of a reason that a table has room for.
const LONGEST_CELL: usize = 70;

/// Explain why a node has an image or lacks it, and how its last pull went.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the preheats of the image, asks the registry for the tag's digest, and asks the node. Takes at most ten
seconds and changes nothing. The first line is the verdict in one word, also for programs.

Examples:
  stoker explain harbor.example.com/team/app:1.4 --node edge-7
  stoker explain nginx:1.27 --node 0d1c --json

All verdicts and what to do: docs/explain.md")]
pub(crate) struct ExplainArguments {
    /// Image reference: registry.example.com/app:1.4, nginx, app@sha256:…, or the URL of a manifest.
    image: String,
    /// Peer on the node: name, id, or a prefix of either.
    #[arg(long, env = "STOKER_NODE", value_name = "NODE")]
    node: String,
    /// Print the manager's response as JSON.
    #[arg(long, env = "STOKER_JSON")]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: ExplainArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let path = query(
        "/api/v1/explain",
        &[("image", &arguments.image), ("node", &arguments.node)],
    );
    let answer: Value = api.get(&path).await?;
    if arguments.json {
        output::say(format!("{answer:#}"));
        return Ok(());
    }
    let explained: ExplanationBody = understood(answer)?;
    answer_first(&explained.findings);
    output::say("");
    head(&explained);
    objects(&explained.objects);
    if explained.node.answers {
        pulls(&explained.pulls);
    } else {
        output::say("\nWhat its last pulls did is not known: the node gives no answer.");
    }
    Ok(())
}

fn say(key: &str, value: &str) {
    output::say(format!("{key:<9} {}", printable(value)));
}

fn answer_first(findings: &[FindingBody]) {
    let Some((first, others)) = findings.split_first() else {
        return;
    };
    say("verdict", &first.verdict);
    say("", &first.says);
    say("to do", &first.to_do);
    for other in others {
        say("also", &format!("{}: {}", other.verdict, other.says));
        say("", &other.to_do);
    }
}

fn head(explained: &ExplanationBody) {
    say("image", &explained.image);
    say("node", &node(explained));
    say("registry", &registry(explained));
    for (key, digest) in meanings(explained) {
        say(key, digest);
    }
    let preheat = explained.preheat.as_ref();
    say(
        "preheat",
        &preheat.map_or_else(|| "none of this image".to_owned(), preheated),
    );
    if let Some(trace) = preheat.and_then(|preheat| preheat.trace_url.as_ref().or(preheat.trace_id.as_ref()))
    {
        say("trace", trace);
    }
    say("there", &there(explained));
}

fn node(explained: &ExplanationBody) -> String {
    let node = &explained.node;
    let state = match (node.alive, node.answers) {
        (true, true) => "connected".to_owned(),
        (true, false) => format!("does not reply, last seen {}", to_the_second(&node.last_seen_at)),
        (false, _) => format!("disconnected since {}", to_the_second(&node.last_seen_at)),
    };
    format!(
        "{} ({} of cluster {}), {state}",
        node.name, node.role, node.cluster
    )
}

fn registry(explained: &ExplanationBody) -> String {
    let registry = &explained.registry;
    match (&registry.text, &explained.reference.now) {
        (None, _) => registry.state.clone(),
        (Some(text), None) => format!(
            "{}, so what the tag means now is not known: {text}",
            registry.state
        ),
        (Some(text), Some(_)) => format!("{}: {text}", registry.state),
    }
}

/// What the reference means to whom, once where all agree.
fn meanings(explained: &ExplanationBody) -> Vec<(&'static str, &str)> {
    let reference = &explained.reference;
    let all = [
        ("now", &reference.now),
        ("preheated", &reference.preheated),
        ("on node", &reference.on_node),
    ];
    let known: Vec<(&str, &str)> = all
        .into_iter()
        .filter_map(|(key, digest)| Some((key, digest.as_deref()?)))
        .collect();
    match known.as_slice() {
        [(_, first), others @ ..]
            if !others.is_empty() && others.iter().all(|(_, digest)| digest == first) =>
        {
            vec![("digest", *first)]
        }
        _ => known,
    }
}

fn preheated(preheat: &ExplainedPreheatBody) -> String {
    let who = preheat.token.as_deref().unwrap_or("somebody");
    let newest = preheat
        .newest
        .map(|newest| format!(" (the newest of this image is {newest})"));
    format!(
        "{} {}, {}, asked {} by {who} ({}){}",
        preheat.id,
        preheat.state,
        preheat.scope,
        to_the_second(&preheat.created_at),
        preheat.asked_by,
        newest.unwrap_or_default()
    )
}

fn there(explained: &ExplanationBody) -> String {
    let share = &explained.share;
    if share.objects == 0 {
        return "what the image is made of is not known".to_owned();
    }
    let whole_for = match share.whole_for.as_slice() {
        [] => String::new(),
        platforms => format!(", whole for {}", platforms.join(", ")),
    };
    format!(
        "{} of {} objects, {} of {} ({}){whole_for}",
        share.objects_there,
        share.objects,
        output::bytes(share.bytes_there),
        output::bytes(share.bytes),
        percent(share.bytes_there, share.bytes),
    )
}

fn objects(objects: &[ExplainedObjectBody]) {
    if objects.is_empty() {
        return;
    }
    output::say("");
    let mut table = Table::new(["OBJECT", "KIND", "PLATFORM", "SIZE", "STATE", "WHY"]);
    for object in objects {
        table.row([
            short(&object.digest),
            object.kind.clone(),
            object.platform.clone().unwrap_or_else(|| "-".to_owned()),
            output::bytes(object.size),
            object.state.clone(),
            why(object),
        ]);
    }
    table.say();
    for object in objects {
        if let Some(reason) = object.reason.as_ref().filter(|reason| is_long(reason)) {
            output::say(format!("\n{}: {}", object.digest, printable(reason)));
        }
    }
}

/// Such a reason is printed below the table.
fn is_long(reason: &str) -> bool {
    reason.chars().count() > LONGEST_CELL
}

fn why(object: &ExplainedObjectBody) -> String {
    let at = object.at.as_ref().map(|at| format!(" ({})", to_the_second(at)));
    let reason = object.reason.as_deref().unwrap_or_default();
    let reason = if is_long(reason) { "see below" } else { reason };
    format!("{reason}{}", at.unwrap_or_default())
}

fn pulls(pulls: &[PullBody]) {
    output::say("");
    if pulls.is_empty() {
        output::say("No pull of it through this node is remembered.");
        return;
    }
    let mut table = Table::new([
        "LAST PULLED",
        "WHAT",
        "KIND",
        "RESULT",
        "FROM",
        "BYTES",
        "MB/S",
        "STATUS",
        "TRACE",
    ]);
    for pull in pulls {
        table.row([
            to_the_second(&pull.at),
            what(&pull.reference),
            pull.kind.clone(),
            pull.result.clone(),
            from(pull),
            output::bytes(pull.bytes),
            pull.megabytes_per_second
                .map_or_else(|| "-".to_owned(), |speed| format!("{speed:.1}")),
            pull.status.to_string(),
            pull.trace_url
                .clone()
                .or_else(|| pull.trace_id.clone())
                .unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.say();
    for pull in pulls {
        if let Some(trouble) = &pull.trouble {
            output::say(format!("\n{}: {}", what(&pull.reference), printable(trouble)));
        }
    }
}

/// A tag as it is, a digest shortened.
fn what(reference: &str) -> String {
    if reference.contains(':') {
        short(reference)
    } else {
        reference.to_owned()
    }
}

/// Names the sources of the bytes.
fn from(pull: &PullBody) -> String {
    if pull.result == "hit" {
        return "store".to_owned();
    }
    let names: Vec<String> = pull
        .sources
        .iter()
        .map(|source| match &source.peer {
            _ if source.registry => format!("registry {}", source.source),
            Some(peer) => peer.clone(),
            None => source.source.clone(),
        })
        .collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::types::{SourceBody, Timestamp};

    fn pull(result: &str, sources: &[(&str, Option<&str>, bool)]) -> PullBody {
        let source = |(name, peer, registry): &(&str, Option<&str>, bool)| SourceBody {
            source: (*name).to_owned(),
            peer: peer.map(str::to_owned),
            registry: *registry,
            bytes: 0,
        };
        PullBody {
            at: Timestamp::from_ms(0),
            reference: String::new(),
            digest: None,
            kind: String::new(),
            result: result.to_owned(),
            sources: sources.iter().map(source).collect(),
            bytes: 0,
            took_ms: 0,
            megabytes_per_second: None,
            status: 200,
            trouble: None,
            trace_id: None,
            trace_url: None,
        }
    }

    #[test]
    fn whoever_gave_the_bytes_is_named_as_people_know_it() {
        let given = [
            ("10.0.0.7:65002", Some("seed-1"), false),
            ("10.0.0.8:65002", None, false),
            ("h.lan", None, true),
        ];
        assert_eq!(
            from(&pull("miss", &given)),
            "seed-1, 10.0.0.8:65002, registry h.lan"
        );
        assert_eq!(from(&pull("hit", &[])), "store");
        assert_eq!(from(&pull("head", &[])), "-");
    }

    #[test]
    fn a_tag_is_shown_whole_and_a_digest_short() {
        assert_eq!(what("2026-11-21-a-very-long-tag"), "2026-11-21-a-very-long-tag");
        assert_eq!(what(&format!("sha256:{}", "a".repeat(64))), "sha256:aaaaaaaaaaaa");
    }
}
