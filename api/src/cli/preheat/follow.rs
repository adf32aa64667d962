//! Waits for the end of preheats: bars on a terminal, plain lines elsewhere.

use std::time::Duration;

use api::types::{PreheatBody, PreheatState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::super::output;
use super::super::stop::Stop;
use crate::cli::client::{Api, AskError};

const WATCHED_PACE: Duration = Duration::from_millis(300);
const PLAIN_PACE: Duration = Duration::from_secs(1);
const LINE_PACE: Duration = Duration::from_secs(5);
/// The manager may restart meanwhile.
const ABSENCE_LIMIT: Duration = Duration::from_secs(120);

/// Returns whether any of them failed. Prints one line for each on stdout.
pub(super) async fn to_the_end(api: &Api, preheats: Vec<PreheatBody>) -> Result<bool, Stop> {
    let display = Display::new();
    let mut open: Vec<Followed> = preheats
        .into_iter()
        .map(|preheat| display.follow(preheat))
        .collect();
    let mut any_failed = false;
    while !open.is_empty() {
        let mut still_open = Vec::new();
        for mut followed in open {
            followed.show(&display);
            if followed.last.state.has_ended() {
                any_failed |= followed.end(&display);
            } else {
                still_open.push(followed);
            }
        }
        open = still_open;
        if !open.is_empty() {
            sleep(display.pace()).await;
        }
        for followed in &mut open {
            followed.look(api).await?;
        }
    }
    Ok(any_failed)
}

/// At the end of a line, where there is a trace.
pub(super) fn trace_words(preheat: &PreheatBody) -> String {
    let trace = preheat.trace();
    trace.map_or_else(String::new, |trace| format!("  trace {trace}"))
}

struct Followed {
    last: PreheatBody,
    bar: ProgressBar,
    last_shown: Option<(PreheatState, Instant)>,
    seen: Instant,
}

struct Display {
    bars: Option<MultiProgress>,
}

impl Display {
    fn new() -> Self {
        Self {
            bars: output::somebody_watches().then(MultiProgress::new),
        }
    }

    fn follow(&self, preheat: PreheatBody) -> Followed {
        let bar = match &self.bars {
            Some(bars) => bars.add(
                ProgressBar::new(0)
                    .with_style(style())
                    .with_message(preheat.image.clone()),
            ),
            None => ProgressBar::hidden(),
        };
        Followed {
            last: preheat,
            bar,
            last_shown: None,
            seen: Instant::now(),
        }
    }

    fn pace(&self) -> Duration {
        if self.bars.is_some() {
            WATCHED_PACE
        } else {
            PLAIN_PACE
        }
    }

    /// A line of the answer, above the bars.
    fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| output::say(line)),
            None => output::say(line),
        }
    }
}

impl Followed {
    async fn look(&mut self, api: &Api) -> Result<(), AskError> {
        match api.get(&format!("/api/v1/preheats/{}", self.last.id)).await {
            Ok(preheat) => {
                self.last = preheat;
                self.seen = Instant::now();
                Ok(())
            }
            Err(error) if error.may_pass() && self.seen.elapsed() < ABSENCE_LIMIT => {
                self.bar.set_prefix("no manager");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn show(&mut self, display: &Display) {
        let preheat = &self.last;
        self.bar.set_prefix(preheat.state.word());
        self.bar.set_length(preheat.bytes_total);
        self.bar.set_position(preheat.bytes_done);
        let is_news = self
            .last_shown
            .is_none_or(|(state, at)| state != preheat.state || at.elapsed() >= LINE_PACE);
        if display.bars.is_none() && is_news && !preheat.state.has_ended() {
            output::remark(line(preheat));
            self.last_shown = Some((preheat.state, Instant::now()));
        }
    }

    /// Prints how it ended; returns whether it failed.
    fn end(&self, display: &Display) -> bool {
        self.bar.finish_and_clear();
        let preheat = &self.last;
        if preheat.state != PreheatState::Succeeded {
            display.say(&format!(
                "{}  {}  {}: {}{}",
                preheat.id,
                preheat.state.word(),
                preheat.image,
                preheat.why(),
                trace_words(preheat)
            ));
            return true;
        }
        let placed = format!(
            "{} objects, {}",
            preheat.objects_total,
            output::bytes(preheat.bytes_total)
        );
        display.say(&format!(
            "{}  succeeded  {}: {placed} placed and proven{}",
            preheat.id,
            preheat.image,
            trace_words(preheat)
        ));
        false
    }
}

fn line(preheat: &PreheatBody) -> String {
    let PreheatBody { id, image, .. } = preheat;
    match preheat.state {
        PreheatState::Placing => format!(
            "{id}  placing  {image}: {} of {}, {} of {} placements{}",
            output::bytes(preheat.bytes_done),
            output::bytes(preheat.bytes_total),
            preheat.placements.verified,
            preheat.placements.total,
            preheat
                .reason
                .as_ref()
                .map_or_else(String::new, |reason| format!(", {reason}")),
        ),
        state => match &preheat.reason {
            Some(reason) => format!("{id}  {}  {image}: {reason}", state.word()),
            None => format!("{id}  {}  {image}", state.word()),
        },
    }
}

fn style() -> ProgressStyle {
    // The template is ours; were it wrong, the plain bar would do.
    ProgressStyle::with_template("{prefix:>10} {wide_bar:.cyan/blue} {bytes:>11}/{total_bytes:<11} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
