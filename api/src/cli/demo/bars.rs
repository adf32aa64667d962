//! Live progress of the preheat: a bar for each layer on a terminal, plain lines elsewhere.

use std::time::Duration;

use anyhow::{bail, ensure};
use api::types::{ObjectBody, Objects, PreheatBody, PreheatState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::super::output;
use super::registry::SampleRegistry;
use crate::cli::client::Api;

const PACE: Duration = Duration::from_millis(200);
const LINE_PACE: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(300);

/// Waits until the preheat succeeds and returns its objects with their placements. Fails if the preheat fails or
/// takes longer than [`LIMIT`].
pub(crate) async fn until_placed(
    api: &Api,
    id: i64,
    registry: &SampleRegistry,
) -> anyhow::Result<Vec<ObjectBody>> {
    let bars = Bars::new(registry);
    let began = Instant::now();
    let mut next_line = began + LINE_PACE;
    loop {
        let preheat: PreheatBody = api.get(&format!("/api/v1/preheats/{id}")).await?;
        let Objects { objects } = api.get(&format!("/api/v1/preheats/{id}/objects")).await?;
        bars.show(&objects, registry);
        match preheat.state {
            PreheatState::Succeeded => {
                bars.clear();
                return Ok(objects);
            }
            PreheatState::Failed => {
                bars.clear();
                bail!("the preheat failed: {}", preheat.why())
            }
            _ => ensure!(
                began.elapsed() < LIMIT,
                "the preheat did not end within {LIMIT:?}"
            ),
        }
        if !output::somebody_watches() && Instant::now() >= next_line {
            next_line += LINE_PACE;
            let (done, total) = (
                output::bytes(preheat.bytes_done),
                output::bytes(preheat.bytes_total),
            );
            output::say(format!("   {}: {done} of {total}", preheat.state.word()));
        }
        sleep(PACE).await;
    }
}

struct Bars {
    all: MultiProgress,
    of_layers: Vec<(String, ProgressBar)>,
}

impl Bars {
    fn new(registry: &SampleRegistry) -> Self {
        let all = MultiProgress::new();
        if !output::somebody_watches() {
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
        let layers = registry.image().objects.iter().filter(|object| object.is_layer());
        let of_layers = layers
            .map(|layer| {
                let bar = all.add(ProgressBar::new(layer.content.size()).with_style(style()));
                bar.set_message(layer.label.clone());
                (layer.digest.to_string(), bar)
            })
            .collect();
        Self { all, of_layers }
    }

    fn show(&self, objects: &[ObjectBody], registry: &SampleRegistry) {
        for (digest, bar) in &self.of_layers {
            let Some(object) = objects.iter().find(|object| &object.digest == digest) else {
                continue;
            };
            let copies = object.placements.len() as u64;
            let reported: u64 = object
                .placements
                .iter()
                .map(|placement| placement.bytes_done)
                .sum();
            bar.set_length(object.size * copies.max(1));
            // Peers report only every two seconds. The registry's own counter is always current.
            bar.set_position(reported.max(registry.bytes_of(digest)));
        }
    }

    fn clear(&self) {
        let _ = self.all.clear();
    }
}

fn style() -> ProgressStyle {
    // The template is a constant; a wrong one falls back to the default bar.
    ProgressStyle::with_template("   {msg:20} {wide_bar:.cyan/blue} {bytes:>11}/{total_bytes:<11}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
