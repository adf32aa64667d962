//! Open-loop load: requests leave on a schedule, whether or not earlier ones were answered. A latency counts
//! from the moment when the request was due, so a slow server cannot hide behind a waiting client.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::table::Row;

/// Requests in flight before the generator waits. That wait counts as latency.
const IN_FLIGHT: usize = 512;

pub(crate) struct Load {
    pub(crate) per_second: u32,
    pub(crate) lasts: Duration,
}

/// The outcome of one request, and the time from when it was due to its response.
pub(crate) struct LoadResponse<T> {
    pub(crate) latency: Duration,
    pub(crate) outcome: Result<T, String>,
}

/// Sends requests 0, 1, 2 … on schedule and returns all outcomes.
pub(crate) async fn open_loop<T, F, R>(load: &Load, request: F) -> Vec<LoadResponse<T>>
where
    T: Send + 'static,
    F: Fn(u64) -> R,
    R: Future<Output = Result<T, String>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let begin = Instant::now();
    let total = u64::from(load.per_second) * load.lasts.as_secs();
    let mut in_flight = JoinSet::new();
    let mut answers = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
    for number in 0..total {
        let due = begin + Duration::from_micros(number * 1_000_000 / u64::from(load.per_second));
        sleep_until(due).await;
        let Ok(permit) = room.clone().acquire_owned().await else {
            break;
        };
        let answer = request(number);
        in_flight.spawn(async move {
            let outcome = answer.await;
            drop(permit);
            LoadResponse {
                latency: due.elapsed(),
                outcome,
            }
        });
        while let Some(Ok(answered)) = in_flight.try_join_next() {
            answers.push(answered);
        }
    }
    while let Some(answered) = in_flight.join_next().await {
        answers.extend(answered);
    }
    answers
}

/// The latency that this share (0.99) of the responses stayed below.
pub(crate) fn percentile(latencies: &mut [Duration], share: f64) -> Duration {
    latencies.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (share * latencies.len() as f64).floor() as usize;
    latencies
        .get(at.min(latencies.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Times of the same work done in two ways, in turn.
#[derive(Default)]
pub(crate) struct Pairs {
    ours: Vec<f64>,
    references: Vec<f64>,
    ratios: Vec<f64>,
}

/// Two percent.
const COST_ALLOWED: f64 = 1.02;

impl Pairs {
    pub(crate) fn add(&mut self, ours: f64, reference: f64) {
        self.ours.push(ours);
        self.references.push(reference);
        self.ratios.push(ours / reference);
    }

    /// The median of the ratios with quartiles and extremes.
    pub(crate) fn row(mut self, what: &str) -> Row {
        let ratio = median(&mut self.ratios);
        let at = |quarter: usize| self.ratios[(self.ratios.len() - 1) * quarter / 4];
        let spread = format!(
            "{ratio:.3} (quartiles {:.3} to {:.3}, all {:.3} to {:.3})",
            at(1),
            at(3),
            at(0),
            at(4)
        );
        Row {
            scenario: format!("{what}, {} pairs", self.ratios.len()),
            ours: format!("{:.3} s", median(&mut self.ours)),
            reference: format!("untraced: {:.3} s", median(&mut self.references)),
            ratio: spread,
            goal: format!("<= {COST_ALLOWED}"),
            met: ratio <= COST_ALLOWED,
            ..Row::default()
        }
    }
}
