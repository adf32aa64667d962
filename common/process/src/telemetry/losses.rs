//! Counts exported and lost spans, and logs losses once a minute.
//!
//! **Invariant:** the number of waiting spans is bounded, and ending a span never waits: a span without room is dropped
//! and counted. The library's own queue drops silently, so this bound is in front of it and smaller.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tracing::warn;

use crate::Running;
use crate::metrics::Metrics;

/// Fewer than the 2,048 of the library's queue, with the batch in progress.
const WAITING_AT_MOST: i64 = 2_000;
const TELL_EVERY: Duration = Duration::from_secs(60);

const QUEUE_FULL: LossReason = LossReason { reason: "queue_full" };
const EXPORT_FAILED: LossReason = LossReason {
    reason: "export_failed",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossReason {
    reason: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Losses(Arc<SpanCounts>);

#[derive(Debug, Default)]
struct SpanCounts {
    waiting: AtomicI64,
    exported: Counter,
    lost: Family<LossReason, Counter>,
}

impl Losses {
    pub(super) fn register(&self, metrics: &Metrics) {
        for reason in [QUEUE_FULL, EXPORT_FAILED] {
            drop(self.0.lost.get_or_create(&reason));
        }
        metrics.register(|registry| {
            registry.register(
                "stoker_spans_exported",
                "Spans that the collector accepted",
                self.0.exported.clone(),
            );
            registry.register(
                "stoker_spans_lost",
                "Spans that did not reach the collector",
                self.0.lost.clone(),
            );
        });
    }

    fn lost(&self, reason: &LossReason) -> u64 {
        self.0.lost.get_or_create(reason).get()
    }

    fn add_lost(&self, reason: &LossReason, count: u64) {
        self.0.lost.get_or_create(reason).inc_by(count);
    }

    /// Reserves room for one more span, if there is any.
    fn take_room(&self) -> bool {
        let waiting = self.0.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting < WAITING_AT_MOST {
            return true;
        }
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.add_lost(&QUEUE_FULL, 1);
        false
    }

    fn gave_up(&self, count: usize, result: &OTelSdkResult) {
        self.0
            .waiting
            .fetch_sub(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match result {
            Ok(()) => drop(self.0.exported.inc_by(count)),
            Err(_) => self.add_lost(&EXPORT_FAILED, count),
        }
    }
}

/// Logs losses, at most once a minute.
pub(super) async fn tell(losses: Losses, running: Running) {
    let now = || (losses.lost(&QUEUE_FULL), losses.lost(&EXPORT_FAILED));
    let mut told = now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(TELL_EVERY) => {}
            () = running.stopping().cancelled() => return,
        }
        let (full, failed) = now();
        let (new_full, new_failed) = (full - told.0, failed - told.1);
        if new_full + new_failed > 0 {
            warn!(
                queue_full = new_full,
                export_failed = new_failed,
                "spans lost: check that the collector is up and fast enough"
            );
        }
        told = (full, failed);
    }
}

/// Passes a span to the batches only while there is room.
#[derive(Debug)]
pub(super) struct BoundedProcessor<P> {
    batches: P,
    losses: Losses,
}

impl<P> BoundedProcessor<P> {
    pub(super) fn new(batches: P, losses: Losses) -> Self {
        Self { batches, losses }
    }
}

impl<P: SpanProcessor> SpanProcessor for BoundedProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.losses.take_room() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts exported and failed batches.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    exporter: E,
    losses: Losses,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(exporter: E, losses: Losses) -> Self {
        Self { exporter, losses }
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.exporter.export(batch).await;
        self.losses.gave_up(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
    use parking_lot::Mutex;

    use super::*;

    /// Answers when the test sends a value: true accepts, false refuses.
    #[derive(Debug)]
    struct Collector(Mutex<Receiver<bool>>);

    impl SpanExporter for Collector {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let answers = self.0.lock();
            match answers.recv_timeout(Duration::from_secs(30)) {
                Ok(true) => Ok(()),
                _ => Err(OTelSdkError::InternalFailure("refused".to_owned())),
            }
        }
    }

    fn traced() -> (SdkTracerProvider, Losses, Sender<bool>) {
        let (answers, receiver) = channel();
        let losses = Losses::default();
        let counting = CountingExporter::new(Collector(Mutex::new(receiver)), losses.clone());
        let batches = BatchSpanProcessor::builder(counting).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BoundedProcessor::new(batches, losses.clone()))
            .build();
        (provider, losses, answers)
    }

    #[test]
    fn a_hanging_collector_loses_spans_but_blocks_nothing() {
        let (provider, losses, answers) = traced();
        let tracer = provider.tracer("test");
        for _ in 0..5_000 {
            drop(tracer.start("span"));
        }
        let waiting = u64::try_from(WAITING_AT_MOST).expect("small");
        assert_eq!(losses.lost(&QUEUE_FULL), 5_000 - waiting);
        for _ in 0..10 {
            answers.send(true).expect("received");
        }
        provider.force_flush().expect("flushed");
        assert_eq!(losses.0.exported.get(), waiting);
        assert_eq!(losses.lost(&EXPORT_FAILED), 0);
    }

    #[test]
    fn spans_that_the_collector_refuses_are_counted() {
        let (provider, losses, answers) = traced();
        drop(provider.tracer("test").start("span"));
        answers.send(false).expect("received");
        // Reports the failure.
        let _ = provider.force_flush();
        assert_eq!((losses.lost(&EXPORT_FAILED), losses.0.exported.get()), (1, 0));
        assert_eq!(losses.0.waiting.load(Ordering::Relaxed), 0);
    }
}
