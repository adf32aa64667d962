//! Harbor's provider "Kraken": one event per image tag, with no credential for the registry; the configured one is
//! used. Harbor takes any success for the end of its job and does not poll. So an invalid event is refused here, and
//! a failure within a few seconds (a wrong name, no credential) is returned here, where Harbor shows it.

use std::time::Duration;

use oci::{Digest, ImageReference, Tag};
use preheat::{PreheatId, PreheatState, Requester};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::PushReport;
use crate::server::app::App;
use crate::server::extract::from_part;
use crate::server::problem::{Kind, Problem};
use crate::server::routes::harbor::words::why_it_failed;
use crate::server::routes::image;
use crate::server::routes::pushed::{Pushed, delivery_named};
use crate::server::triggers::Outcome;

const SOURCE: Requester = Requester::Kraken;
const MOST_EVENTS: usize = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KrakenEvent {
    id: Option<String>,
    time_stamp: Option<String>,
    target: Option<KrakenTarget>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KrakenTarget {
    digest: Option<String>,
    url: Option<String>,
    tag: Option<String>,
}

/// All events are read before the first one is acted on: an envelope is taken whole or not at all.
pub(super) async fn receive(
    app: &App,
    caller: Option<&str>,
    events: Vec<Value>,
) -> Result<PushReport, Problem> {
    let pushed = read(events).inspect_err(|_| app.count(SOURCE, Outcome::Malformed))?;
    let mut report = PushReport::default();
    let mut preheats = Vec::new();
    for pushed in pushed {
        let name = pushed.image.to_string();
        match pushed.act(app, caller).await? {
            Ok(id) => {
                report.preheat(id);
                preheats.push(id);
            }
            Err(why) => return Err(Problem::invalid(format!("{name}: {}.", why.words()))),
        }
    }
    nothing_fails_at_once(app, &preheats).await?;
    Ok(report)
}

/// Waits a short time for the end of each.
async fn nothing_fails_at_once(app: &App, preheats: &[PreheatId]) -> Result<(), Problem> {
    let until = Instant::now() + app.kraken_waits();
    for id in preheats {
        while Instant::now() < until {
            match preheat::get(app.preheater(), *id).await? {
                Some(view) if view.state == PreheatState::Failed => {
                    return Err(Problem::new(Kind::Failed, why_it_failed(&view)));
                }
                Some(view) if !view.state.has_ended() => sleep(LOOK_AGAIN).await,
                _ => break,
            }
        }
    }
    Ok(())
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
    let event: KrakenEvent = from_part("Events[]", event)?;
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
        image.pin(digest).map_err(|_| {
            Problem::invalid("`Target.Url` and `Target.Digest` name different digests: one of them is wrong.")
        })?;
    }
    let parts = [event.time_stamp.as_deref().unwrap_or_default(), url];
    Ok(Pushed {
        delivery: Some(delivery_named(
            SOURCE,
            event.id.as_deref().unwrap_or_default(),
            &parts,
        )),
        image,
        source: SOURCE,
    })
}
