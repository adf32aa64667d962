//! What is reported of a pull: counts, recent pulls, spans.

use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use wire::PullResult;

use super::super::outcome::READER_LEFT_TEXT;
use super::support::{FrontFixture, SignIn, basic};
use crate::fetch::tests::support::{eventually, seal};
use crate::recorder::{Trace, attribute, id_of, links};

const BLOB: &str = "GET /v2/{repository}/blobs/{digest}";

fn blob(digest: &oci::Digest) -> String {
    format!("/v2/a/blobs/{digest}")
}

async fn get_within(world: &FrontFixture, trace: &Trace, path: &str) -> Option<bytes::Bytes> {
    let context = trace.context();
    let request = world.request(Method::GET, path);
    world
        .send(request.header("traceparent", context.as_str()))
        .await
        .body
}

/// The front's own span of the pull: requests to the registry have the same name.
async fn pull_of(trace: &Trace) -> SpanData {
    eventually("the pull's span has ended", || served(trace).is_some()).await;
    served(trace).expect("found just now")
}

fn served(trace: &Trace) -> Option<SpanData> {
    let mut spans = trace.spans().into_iter();
    spans.find(|span| span.name == BLOB && span.span_kind == SpanKind::Server)
}

/// Waits until so many pulls were reported: the reader gets the end of a body earlier.
async fn results_of(world: &FrontFixture, how_many: usize) -> Vec<(PullResult, u16)> {
    eventually("pulls are told", || world.pulls().len() >= how_many).await;
    world.results()
}

#[tokio::test]
async fn each_pull_is_listed_and_counted_by_its_result() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let path = blob(&image.layer);
    world.get(&path, None).await;
    results_of(&world, 1).await;
    eventually("sealed", || world.store.sealed(&image.layer).is_some()).await;
    world.get(&path, None).await;
    results_of(&world, 2).await;
    world.head(&path, None).await;
    let unknown = blob(&oci::Digest::of(b"nobody has it"));
    world.get(&unknown, None).await;
    let wrong = world.registry.push("a", vec![7; 3_000_000]).layer;
    world.registry.serves_wrong_bytes_of(&wrong);
    assert!(world.get(&blob(&wrong), None).await.body.is_none());
    let expected = [
        (PullResult::Miss, 200),
        (PullResult::Hit, 200),
        (PullResult::Head, 200),
        (PullResult::Refused, 404),
        (PullResult::Failed, 200),
    ];
    assert_eq!(results_of(&world, 5).await, expected);
    let text = world.counted();
    for result in ["miss", "hit", "head", "refused", "failed"] {
        let line = format!("stoker_front_objects_total{{result=\"{result}\"}} 1\n");
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
    let sent: u64 = world.pulls().iter().map(|pulled| pulled.bytes).sum();
    assert!(sent >= 20, "{sent}");
    let line = format!("stoker_bytes_out_total{{door=\"front\"}} {sent}\n");
    assert!(text.contains(&line), "{line} is missing in\n{text}");
}

#[tokio::test]
async fn a_recent_pull_names_its_sources_and_its_trouble() {
    let mut world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let seed = world.add_seed().await;
    seal(&seed, &image.layer_bytes).await;
    seed.record_delivered(&image.layer, &world.location("a"));
    world.get(&blob(&image.layer), None).await;
    let mut bytes = vec![7; 3_000_000];
    let wrong = world.registry.push("a", bytes.clone()).layer;
    world.registry.serves_wrong_bytes_of(&wrong);
    bytes[2_999_999] ^= 1;
    let found = oci::Digest::of(&bytes);
    world.get(&blob(&wrong), None).await;
    results_of(&world, 2).await;
    let pulls = world.pulls();
    let [failed, from_seed] = pulls.as_slice() else {
        panic!("{pulls:?}");
    };
    assert_eq!(from_seed.registry, world.registry_name);
    assert_eq!((from_seed.repository.as_str(), from_seed.bytes), ("a", 10));
    assert_eq!(from_seed.digest.as_deref(), Some(image.layer.as_str()));
    let [source] = from_seed.sources.as_slice() else {
        panic!("{from_seed:?}");
    };
    assert_eq!(
        (source.peer.as_deref(), source.is_registry, source.bytes),
        (Some("seed"), false, 10)
    );
    assert!(!source.source.contains("http"), "{source:?}");
    let trouble = failed.trouble.as_deref().expect("trouble");
    assert!(trouble.contains(found.short()), "{trouble}");
}

#[tokio::test]
async fn no_secret_gets_into_the_recent_pulls() {
    let world = FrontFixture::new(SignIn::Basic).await;
    let image = world.registry.push("a", "layer of a");
    let ann = basic("ann", "pw-ann");
    for path in [
        blob(&image.layer),
        "/v2/a/manifests/v1".to_owned(),
        "/v2/b/manifests/v1".to_owned(),
    ] {
        let request = world.request(Method::GET, &path).query(&[("token", "geheim")]);
        world.send(request.header("authorization", &ann)).await;
    }
    results_of(&world, 3).await;
    let text = serde_json::to_string(&world.pulls()).expect("JSON");
    for secret in ["geheim", "pw-ann", ann.trim_start_matches("Basic "), "ns="] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn a_request_without_an_object_is_counted_and_not_listed() {
    let world = FrontFixture::new(SignIn::None).await;
    let got = world.get("/v2/a/uploads/x", None).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
    let refused = "stoker_front_objects_total{result=\"refused\"} 1\n";
    eventually("counted", || world.counted().contains(refused)).await;
    assert!(world.pulls().is_empty());
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", vec![7; 30_000_000]);
    let response = world
        .request(Method::GET, &blob(&image.layer))
        .send()
        .await
        .expect("an answer");
    drop(response);
    assert_eq!(results_of(&world, 1).await, [(PullResult::Miss, 200)]);
    let trouble = world.pulls()[0].trouble.clone();
    assert_eq!(trouble.as_deref(), Some(READER_LEFT_TEXT));
}

#[tokio::test]
async fn a_pull_has_one_span_to_its_last_byte_and_what_it_starts_is_below_it() {
    let (world, trace) = (FrontFixture::new(SignIn::None).await, Trace::begin());
    let image = world.registry.push("a", "layer of a");
    assert!(get_within(&world, &trace, &blob(&image.layer)).await.is_some());
    let pull = pull_of(&trace).await;
    assert_eq!(pull.parent_span_id, trace.root_id());
    let about = format!("{}/a", world.registry_name);
    for (key, value) in [
        ("stoker.image", about.as_str()),
        ("stoker.digest", image.layer.as_str()),
        ("stoker.result", "miss"),
        ("stoker.bytes", "10"),
        ("http.route", "/v2/{repository}/blobs/{digest}"),
    ] {
        assert_eq!(attribute(&pull, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(trace.the("fetch").await.parent_span_id, id_of(&pull));
    assert!(links(&pull).is_empty());
    let trace_id = world.pulls()[0].trace_id.clone();
    assert_eq!(trace_id, Some(trace.id().to_string()));
}

#[tokio::test]
async fn a_pull_from_the_store_is_linked_to_the_span_that_brought_the_object() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", "layer of a");
    let (preheat, pull) = (Trace::begin(), Trace::begin());
    seal(&world.store, &image.layer_bytes).await;
    world.store.record_delivered(&image.layer, &world.location("a"));
    world.store.record_brought(&image.layer, &preheat.context());
    assert!(get_within(&world, &pull, &blob(&image.layer)).await.is_some());
    let span = pull_of(&pull).await;
    assert_eq!(links(&span), [preheat.root_id()]);
    assert_eq!(
        span.links.iter().next().map(|link| link.span_context.trace_id()),
        Some(preheat.id())
    );
    assert_eq!(attribute(&span, "stoker.result").as_deref(), Some("hit"));
}

#[tokio::test]
async fn a_pull_that_joins_a_fetch_is_linked_to_it() {
    let world = FrontFixture::new(SignIn::None).await;
    let image = world.registry.push("a", vec![9; 2_000_000]);
    let (first, second) = (Trace::begin(), Trace::begin());
    let (path, gate) = (blob(&image.layer), world.registry.holds_bodies());
    let mut pulls = Vec::new();
    for trace in [&first, &second] {
        let context = trace.context();
        let request = world
            .request(Method::GET, &path)
            .header("traceparent", context.as_str());
        let mut pull = Box::pin(request.send());
        // No head comes before the first byte: the fetch runs, and waits for it.
        let waited = tokio::time::timeout(Duration::from_millis(500), &mut pull).await;
        assert!(waited.is_err(), "a head without a byte");
        pulls.push(pull);
    }
    gate.cancel();
    for pull in pulls {
        let body = pull.await.expect("an answer").bytes().await;
        assert_eq!(body.expect("whole").len(), 2_000_000);
    }
    let fetch = first.the("fetch").await;
    assert_eq!(links(&pull_of(&second).await), [id_of(&fetch)]);
    assert!(links(&pull_of(&first).await).is_empty());
    let mut results: Vec<&str> = results_of(&world, 2)
        .await
        .iter()
        .map(|(result, _)| result.word())
        .collect();
    results.sort_unstable();
    assert_eq!(results, ["join", "miss"]);
}
