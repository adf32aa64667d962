//! `stoker image`: locates, pins, removes and blocks images.

mod rules;

use api::types::{PeerShareBody, WhereBody};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::output;
use super::output::{Table, percent, to_the_second};
use super::stop::Stop;
use crate::cli::client::{Api, ServerFlags, query, understood};

/// Locate, pin, remove or block an image.
#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    #[command(subcommand)]
    command: ImageAction,
}

#[derive(Debug, Subcommand)]
enum ImageAction {
    Where(Where),
    Pin(rules::Pin),
    Unpin(rules::Unpin),
    /// List the images that are pinned.
    Pins(rules::ListRules),
    Remove(rules::RemoveImageArguments),
    Unblock(rules::Unblock),
    /// List the images that are blocked.
    Blocks(rules::ListRules),
}

/// List the peers that hold an image, and how much of it.
#[derive(Debug, Args)]
#[command(after_help = "\
The objects of the image come from its newest preheat, or from the registry if there is none. Peers report
what they hold as it changes. For nodes, only objects of preheated images are known.

Example:
  stoker image where harbor.example.com/team/app:1.4")]
struct Where {
    /// Image reference: registry.example.com/app:1.4, nginx, app@sha256:…, or the URL of a manifest.
    image: String,
    /// Print the manager's response as JSON.
    #[arg(long, env = "STOKER_JSON")]
    json: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(crate) async fn run(arguments: ImageArguments) -> Result<(), Stop> {
    match arguments.command {
        ImageAction::Where(arguments) => whereabouts(arguments).await,
        ImageAction::Pin(arguments) => rules::pin(arguments).await,
        ImageAction::Unpin(arguments) => rules::unpin(arguments).await,
        ImageAction::Pins(arguments) => rules::pins(arguments).await,
        ImageAction::Remove(arguments) => rules::remove(arguments).await,
        ImageAction::Unblock(arguments) => rules::unblock(arguments).await,
        ImageAction::Blocks(arguments) => rules::blocks(arguments).await,
    }
}

async fn whereabouts(arguments: Where) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let path = query("/api/v1/images/where", &[("image", &arguments.image)]);
    let answer: Value = api.get(&path).await?;
    if arguments.json {
        output::say(format!("{answer:#}"));
        return Ok(());
    }
    tell(&understood(answer)?);
    Ok(())
}

fn tell(found: &WhereBody) {
    let say = |key: &str, value: &str| output::say(format!("{key:<9} {value}"));
    say("image", &found.image);
    let source = match found.preheat {
        Some(id) => format!("as preheat {id} found it"),
        None => "by the registry's word just now".to_owned(),
    };
    say("digest", &format!("{} ({source})", found.digest));
    say(
        "size",
        &format!("{} objects, {}", found.objects, output::bytes(found.bytes)),
    );
    output::say("");
    if found.peers.is_empty() {
        output::say(format!(
            "No peer holds any of it; {} are connected.",
            found.peers_without
        ));
        return;
    }
    let mut table = Table::new([
        "PEER", "CLUSTER", "ROLE", "STATE", "HOLDS", "OBJECTS", "BYTES", "BEGUN",
    ]);
    for share in &found.peers {
        table.row(row(found, share));
    }
    table.say();
    if found.peers_without > 0 {
        output::say(format!(
            "Connected peers that hold nothing of it: {}",
            found.peers_without
        ));
    }
}

fn row(found: &WhereBody, share: &PeerShareBody) -> [String; 8] {
    let state = if share.alive {
        "connected".to_owned()
    } else {
        format!("disconnected since {}", to_the_second(&share.last_seen_at))
    };
    let holds = if share.whole {
        "all of it".to_owned()
    } else {
        percent(share.bytes, found.bytes)
    };
    [
        share.name.clone(),
        share.cluster.clone(),
        share.role.clone(),
        state,
        holds,
        format!("{} of {}", share.objects, found.objects),
        output::bytes(share.bytes),
        begun(share),
    ]
}

/// What is on its way, or was.
fn begun(share: &PeerShareBody) -> String {
    match share.objects_begun {
        0 => "-".to_owned(),
        count => format!("{} in {count}", output::bytes(share.bytes_begun)),
    }
}
