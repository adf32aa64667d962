//! Which traces are recorded: as the parent decided; without a parent, by the ratio; spans listed as always, always.
//!
//! If nothing is exported, no trace is started: spans then cost almost nothing and still have trace ids.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use super::TelemetryOptions;

#[derive(Debug, Clone)]
pub(super) struct Sampling {
    always: Vec<String>,
    never: Vec<String>,
    rest: Sampler,
}

impl Sampling {
    pub(super) fn of(options: &TelemetryOptions) -> Self {
        let root = match (&options.otlp_endpoint, options.sample_ratio) {
            (None, _) => Sampler::AlwaysOff,
            (Some(_), Some(ratio)) => Sampler::TraceIdRatioBased(ratio),
            (Some(_), None) => Sampler::AlwaysOn,
        };
        Self {
            always: options.trace_always.clone(),
            never: options.trace_never.clone(),
            rest: Sampler::ParentBased(Box::new(root)),
        }
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let decided = |decision| SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: parent.map_or_else(TraceState::default, |parent| {
                parent.span().span_context().trace_state().clone()
            }),
        };
        let has_parent = parent.is_some_and(|parent| parent.span().span_context().is_valid());
        if *kind == SpanKind::Server && self.always.iter().any(|always| always == name) {
            return decided(SamplingDecision::RecordAndSample);
        }
        if !has_parent && self.never.iter().any(|never| never == name) {
            return decided(SamplingDecision::Drop);
        }
        self.rest
            .should_sample(parent, trace, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_kept(options: &TelemetryOptions, parent: Option<&str>, name: &str) -> bool {
        let parent = parent.map(|flags| {
            use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};
            let flags = TraceFlags::new(u8::from(flags == "kept"));
            let (trace, span) = (TraceId::from(7_u128), SpanId::from(7_u64));
            Context::new().with_remote_span_context(SpanContext::new(
                trace,
                span,
                flags,
                true,
                TraceState::NONE,
            ))
        });
        let result = Sampling::of(options).should_sample(
            parent.as_ref(),
            TraceId::from(u128::MAX),
            name,
            &SpanKind::Server,
            &[],
            &[],
        );
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn an_always_span_is_recorded_regardless_of_ratio_and_caller() {
        let options = TelemetryOptions {
            sample_ratio: Some(0.0),
            trace_always: vec!["POST /preheats".to_owned()],
            trace_never: vec!["GET /poll".to_owned()],
            ..TelemetryOptions::default()
        };
        assert!(is_kept(&options, None, "POST /preheats"));
        assert!(is_kept(&options, Some("dropped"), "POST /preheats"));
        assert!(!is_kept(&options, None, "GET /else"));
        assert!(is_kept(&options, Some("kept"), "GET /else"));
        assert!(is_kept(&options, Some("kept"), "GET /poll"));
    }

    #[test]
    fn without_a_collector_only_traces_of_callers_are_continued() {
        let options = TelemetryOptions::default();
        assert!(!is_kept(&options, None, "GET /else"));
        assert!(is_kept(&options, Some("kept"), "GET /else"));
    }

    #[test]
    fn a_never_span_starts_no_trace() {
        let options = TelemetryOptions {
            otlp_endpoint: Some("http://collector:4318".to_owned()),
            trace_never: vec!["GET /poll".to_owned()],
            ..TelemetryOptions::default()
        };
        assert!(!is_kept(&options, None, "GET /poll"));
        assert!(is_kept(&options, None, "GET /else"));
    }
}
