//! Harbor's provider "Kraken": one event per image tag, with no credential for the registry; the configured one is
//! used. Harbor takes any good answer for the end of its job, so what cannot be done is refused here, in words.

use oci::{Digest, ImageReference, Tag, TagOrDigest};
use preheat::Origin;
use serde::Deserialize;
use serde_json::Value;

use super::Heard;
use crate::app::App;
use crate::problem::Problem;
use crate::routes::image;
use crate::triggers::{Outcome, Pushed, delivery_named};

const SOURCE: Origin = Origin::Kraken;
const MOST_EVENTS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    id: Option<String>,
    time_stamp: Option<String>,
    target: Option<Target>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    digest: Option<String>,
    url: Option<String>,
    tag: Option<String>,
}

/// All events are read before the first one is acted on: an envelope is taken whole or not at all.
pub(super) async fn hear(app: &App, caller: Option<&str>, events: Vec<Value>) -> Result<Heard, Problem> {
    let pushed = read(events).inspect_err(|_| app.count(SOURCE, Outcome::Malformed))?;
    let mut heard = Heard::default();
    for pushed in pushed {
        let name = pushed.image.to_string();
        match pushed.act(app, caller).await? {
            Ok(id) => heard.preheat(id),
            Err(why) => return Err(Problem::invalid(format!("{name}: {}.", why.words()))),
        }
    }
    Ok(heard)
}

fn read(events: Vec<Value>) -> Result<Vec<Pushed>, Problem> {
    if !(1..=MOST_EVENTS).contains(&events.len()) {
        return Err(Problem::invalid(format!(
            "`Events` has to have 1 to {MOST_EVENTS} entries."
        )));
    }
    events.into_iter().map(pushed).collect()
}

fn pushed(event: Value) -> Result<Pushed, Problem> {
    let event: Event = serde_json::from_value(event).map_err(|_| {
        Problem::invalid("`Events` has an entry that is not made as Harbor's provider \"Kraken\" makes them.")
    })?;
    let target = event.target.unwrap_or_default();
    let url = target
        .url
        .as_deref()
        .filter(|url| !url.is_empty())
        .ok_or_else(|| {
            Problem::invalid("`Target.Url` is missing: the URL of the image's manifest is needed.")
        })?;
    let mut image = image::image("Target.Url", url, ImageReference::from_manifest_url)?;
    if let Some(tag) = target.tag.as_deref().filter(|tag| !tag.is_empty()) {
        let tag: Tag = tag
            .parse()
            .map_err(|fault| Problem::invalid(format!("`Target.Tag`: {fault}.")))?;
        image.tag = Some(tag);
    }
    if let Some(digest) = target.digest.as_deref().filter(|digest| !digest.is_empty()) {
        let digest: Digest = digest
            .parse()
            .map_err(|fault| Problem::invalid(format!("`Target.Digest`: {fault}.")))?;
        if image.wanted.digest().is_some_and(|named| *named != digest) {
            return Err(Problem::invalid(
                "`Target.Url` and `Target.Digest` name different digests: one of them is wrong.",
            ));
        }
        image.wanted = TagOrDigest::Digest(digest);
    }
    let parts = [event.time_stamp.as_deref().unwrap_or_default(), url];
    Ok(Pushed {
        delivery: delivery_named(SOURCE, event.id.as_deref().unwrap_or_default(), &parts),
        image,
        source: SOURCE,
    })
}
