//! `stoker image pin | unpin | pins | remove | unblock | blocks`: images that stay, go, or are kept off.

use api::types::{Blocks, PinImage, Pins, RemovalBody, RemoveImage, RuleBody};
use clap::Args;

use crate::cli::client::{Api, ServerFlags};
use crate::cli::output;
use crate::cli::output::{Table, to_the_second};
use crate::cli::stop::{FAILED, Stop};

const PINS: &str = "/api/v1/images/pins";
const BLOCKS: &str = "/api/v1/images/blocks";

/// Pin an image: peers that have it do not evict it.
#[derive(Debug, Args)]
#[command(after_help = "\
A pin of a tag covers the digest that the tag was last preheated as. A pin fetches nothing: preheat the image first.

Example:
  stoker image pin harbor.example.com/team/app:1.4 --for 30d")]
pub(super) struct Pin {
    /// Image reference.
    image: String,
    /// Lifetime of the pin: 12h, 30d. [default: until `stoker image unpin`]
    #[arg(long = "for", value_name = "TIME")]
    lifetime: Option<String>,
    /// Reason, for people.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Unpin an image: peers may evict it again.
#[derive(Debug, Args)]
pub(super) struct Unpin {
    /// Image as `stoker image pins` shows it.
    image: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// Remove an image from all peers, also from those that reconnect later.
#[derive(Debug, Args)]
#[command(after_help = "\
Needs a token with scope `admin`. Objects that another known image needs stay.
While an image is blocked, preheats of it fail and peers answer pulls of it with 403, until `stoker image unblock`.

Example:
  stoker image remove harbor.example.com/team/app:1.4 --block --reason CVE-2026-12345")]
pub(super) struct RemoveImageArguments {
    /// Image reference.
    image: String,
    /// Also block it.
    #[arg(long)]
    block: bool,
    /// Reason, for people; shown to refused callers.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Unblock an image (needs a token with scope `admin`).
#[derive(Debug, Args)]
pub(super) struct Unblock {
    /// Image as `stoker image blocks` shows it.
    image: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// List pins or blocks.
#[derive(Debug, Args)]
pub(super) struct ListRules {
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn pin(arguments: Pin) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let body = PinImage {
        image: arguments.image,
        lifetime: arguments.lifetime,
        reason: arguments.reason,
    };
    let pinned: RuleBody = api.post(PINS, &body).await?;
    let until = pinned.until.as_ref().map_or_else(
        || "until it is unpinned".to_owned(),
        |until| format!("until {}", to_the_second(until)),
    );
    output::say(format!(
        "pinned {} ({} objects) {until}",
        pinned.image, pinned.objects
    ));
    Ok(())
}

pub(super) async fn remove(arguments: RemoveImageArguments) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let body = RemoveImage {
        image: arguments.image,
        block: arguments.block,
        reason: arguments.reason,
    };
    let removed: RemovalBody = api.post("/api/v1/images/removals", &body).await?;
    output::say(format!(
        "{}: peers remove {} objects; {} stay for other images",
        removed.image, removed.objects, removed.shared
    ));
    if removed.blocked {
        output::say("The image is blocked until `stoker image unblock`.");
    }
    Ok(())
}

pub(super) async fn unpin(arguments: Unpin) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let Pins { pins } = api.get(PINS).await?;
    lift(&api, PINS, pins, &arguments.image, "pinned").await
}

pub(super) async fn unblock(arguments: Unblock) -> Result<(), Stop> {
    let api = Api::new(&arguments.server)?;
    let Blocks { blocks } = api.get(BLOCKS).await?;
    lift(&api, BLOCKS, blocks, &arguments.image, "blocked").await
}

pub(super) async fn pins(arguments: ListRules) -> Result<(), Stop> {
    let Pins { pins } = Api::new(&arguments.server)?.get(PINS).await?;
    say(pins, "No image is pinned.");
    Ok(())
}

pub(super) async fn blocks(arguments: ListRules) -> Result<(), Stop> {
    let Blocks { blocks } = Api::new(&arguments.server)?.get(BLOCKS).await?;
    say(blocks, "No image is blocked.");
    Ok(())
}

/// All of this image, however it is written.
async fn lift(api: &Api, path: &str, rules: Vec<RuleBody>, image: &str, word: &str) -> Result<(), Stop> {
    let meant = meant(image);
    let mut any = false;
    for rule in rules
        .iter()
        .filter(|rule| rule.image == image || meant.as_ref() == Some(&rule.image))
    {
        api.delete(&format!("{path}/{}", rule.id)).await?;
        output::say(format!("{} is no longer {word}", rule.image));
        any = true;
    }
    if any {
        return Ok(());
    }
    output::remark(format!("stoker: {image} is not {word}"));
    Err(Stop::silent(FAILED))
}

/// As the manager writes it.
fn meant(image: &str) -> Option<String> {
    let reference: oci::ImageReference = image.parse().ok()?;
    Some(reference.to_string())
}

fn say(rules: Vec<RuleBody>, none: &str) {
    if rules.is_empty() {
        output::remark(none);
        return;
    }
    let mut table = Table::new(["IMAGE", "OBJECTS", "BY", "SINCE", "UNTIL", "REASON"]);
    for rule in rules {
        table.row([
            rule.image,
            rule.objects.to_string(),
            rule.created_by,
            to_the_second(&rule.created_at),
            rule.until.as_ref().map(to_the_second).unwrap_or_default(),
            rule.reason.unwrap_or_default(),
        ]);
    }
    table.say();
}
