//! What the manager's part of a trace looks like. Spans of all tests of this program come to one place; each test
//! looks at traces of its own.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use preheat::{PreheatState, Scope};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;
use wire::TraceContext;

use crate::support::{World, failed, verified};

static ENDED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Keep;

impl SpanProcessor for Keep {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        ENDED.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn keep_spans() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let provider = SdkTracerProvider::builder().with_span_processor(Keep).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// A request's own span, and the context that it hands on.
struct Request {
    trace: String,
    context: TraceContext,
}

impl Request {
    fn numbered(number: u32) -> Self {
        keep_spans();
        let trace = format!("{number:032x}");
        let context = TraceContext::parse(&format!("00-{trace}-00000000000000ab-01")).unwrap();
        Self { trace, context }
    }

    async fn submit(&self, world: &World, tag: &str, scope: Scope) -> i64 {
        let span = tracing::info_span!("POST");
        self.context.adopt(&span);
        let submitted = preheat::submit(
            &world.preheater,
            None,
            world.request(tag, scope),
            Some(self.context.clone()),
        );
        submitted.instrument(span).await.unwrap()
    }

    /// The ended spans of this name in its trace, once there are so many.
    async fn spans(&self, name: &str, count: usize) -> Vec<SpanData> {
        for _ in 0..500 {
            let ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let of_trace = |span: &SpanData| span.span_context.trace_id().to_string() == self.trace;
            let found: Vec<_> = ended
                .into_iter()
                .filter(|span| of_trace(span) && span.name == name)
                .collect();
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there are no {count} spans {name} in trace {}", self.trace);
    }

    async fn span(&self, name: &str) -> SpanData {
        self.spans(name, 1).await.remove(0)
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key.as_str() == key);
    found.map(|one| one.value.to_string())
}

fn attributes<const N: usize>(span: &SpanData, keys: [&str; N]) -> [String; N] {
    keys.map(|key| attribute(span, key).unwrap_or_else(|| panic!("no {key} in {span:?}")))
}

#[tokio::test]
async fn a_preheat_is_one_trace_from_submit_to_settle() {
    let request = Request::numbered(0xa1);
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let id = request
        .submit(&world, "v1", Scope::SingleSeedPeer)
        .await
        .to_string();
    let image = format!("{}/team/app:v1", world.registry.host);
    let lots = seed.take().await;
    seed.settle(verified(&lots[0])).await;

    let submit = request.span("submit").await;
    let found = attributes(&submit, ["stoker.preheat", "stoker.image", "stoker.scope"]);
    assert_eq!(found, [id.as_str(), &image, "single_seed_peer"]);

    let resolve = request.span("resolve").await;
    let of_request = SpanId::from_hex("00000000000000ab").unwrap();
    assert_eq!(
        resolve.parent_span_id, of_request,
        "resolve follows the request, not its first step"
    );
    let found = attributes(&resolve, ["stoker.preheat", "stoker.image", "stoker.attempt"]);
    assert_eq!(found, [id.as_str(), &image, "1"]);
    assert_eq!(attribute(&resolve, "error.type"), None);

    let plan = request.span("plan").await;
    assert_eq!(plan.parent_span_id, resolve.span_context.span_id());
    let found = attributes(&plan, ["stoker.objects", "stoker.placements", "stoker.peers"]);
    assert_eq!(found, ["4", "4", "1"]);

    let settle = request.span("settle").await;
    assert_eq!(settle.parent_span_id, of_request);
    let found = attributes(&settle, ["stoker.peer", "stoker.placements", "stoker.outcome"]);
    assert_eq!(found, ["seed-1", "4", "verified"]);
    let of_lot = lots[0].trace.as_ref().unwrap();
    let expected = plan.span_context.span_id().to_string();
    assert!(
        of_lot.as_str().contains(&expected),
        "the peer's spans hang below the plan: {of_lot:?}"
    );
}

#[tokio::test]
async fn a_call_that_settles_two_preheats_is_seen_in_both_traces_with_a_link_to_the_call() {
    let (one, other, call) = (
        Request::numbered(0xb1),
        Request::numbered(0xb2),
        Request::numbered(0xb3),
    );
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    world.registry.image(Some("v2"), &["b", "c"]);
    let first = one.submit(&world, "v1", Scope::SingleSeedPeer).await;
    let mut lots = seed.take().await;
    other.submit(&world, "v2", Scope::SingleSeedPeer).await;
    lots.extend(seed.take().await);
    let mut outcomes = verified(&lots[0]);
    outcomes.extend(failed(&lots[1], "no"));
    let span = tracing::info_span!("settle call");
    call.context.adopt(&span);
    seed.settle(outcomes).instrument(span).await;

    let mut settles = [one.span("settle").await, other.span("settle").await];
    settles.sort_by_key(|span| attribute(span, "stoker.preheat") != Some(first.to_string()));
    let found = settles
        .each_ref()
        .map(|span| attributes(span, ["stoker.placements", "stoker.outcome"]));
    assert_eq!(found, [["3", "verified"], ["4", "failed"]]);
    for settle in &settles {
        let links: Vec<_> = settle
            .links
            .iter()
            .map(|link| link.span_context.trace_id())
            .collect();
        assert_eq!(links.len(), 1, "{settle:?}");
        assert_eq!(links[0].to_string(), call.trace);
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_marks_its_resolve_with_one_word() {
    let request = Request::numbered(0xc1);
    let world = World::start().await;
    world.seed("seed-1").await;
    let id = request.submit(&world, "missing", Scope::SingleSeedPeer).await;
    world.until_state(id, PreheatState::Failed).await;
    let resolve = request.span("resolve").await;
    assert_eq!(attribute(&resolve, "error.type").as_deref(), Some("not_found"));
    assert!(matches!(
        resolve.status,
        opentelemetry::trace::Status::Error { .. }
    ));
}

#[tokio::test]
async fn a_trace_goes_on_after_a_restart_of_the_manager() {
    let request = Request::numbered(0xd1);
    let mut world = World::start().await;
    world.registry.image(Some("v1"), &["a"]);
    let id = request.submit(&world, "v1", Scope::SingleSeedPeer).await;
    let waits = |view: &preheat::PreheatView| {
        view.reason
            .as_deref()
            .is_some_and(|reason| reason.contains("seed"))
    };
    world.until(id, waits).await;
    world.restart(Duration::from_secs(3)).await;
    let seed = world.seed("seed-1").await;
    let lots = seed.take().await;
    seed.settle(verified(&lots[0])).await;
    world.until_state(id, PreheatState::Succeeded).await;
    for name in ["submit", "resolve", "plan", "settle"] {
        request.span(name).await;
    }
}
