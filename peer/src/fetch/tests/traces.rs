//! Traces and metrics of a fetch.

use bytes::Bytes;
use oci::Digest;
use store::CHUNK;
use tokio_util::sync::CancellationToken;

use super::support::{FetchFixture, Parent, Treat, bytes, read_all, with_byte_changed};
use crate::fetch::FetchStart;
use crate::metrics::tests::scraped;
use crate::recorder::{Trace, attribute, id_of};

/// A parent whose third chunk is wrong.
async fn damaged_parent(world: &FetchFixture, body: &Bytes) -> Parent {
    let damaged = Parent::holding(&world.around, &[body]).await;
    let file = damaged.file(&Digest::of(body));
    std::fs::write(file, with_byte_changed(body, 2 * CHUNK + 7)).expect("damaged");
    damaged
}

fn counted(world: &FetchFixture) -> String {
    scraped(world.fetches.metrics(), &world.store)
}

#[tokio::test]
async fn each_source_s_span_has_its_bytes_and_why_it_was_left() {
    let (world, trace) = (FetchFixture::new().await, Trace::begin());
    let body = bytes(4 * CHUNK + 5);
    let digest = world.registry.serve(&body);
    let damaged = damaged_parent(&world, &body).await;
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![damaged.url.clone()];
    wanted.trace = Some(trace.context());
    world
        .fetches
        .join_or_start(wanted)
        .sealed()
        .await
        .expect("sealed");
    let fetch = trace.the("fetch").await;
    assert_eq!(fetch.parent_span_id, trace.root_id());
    assert_eq!(attribute(&fetch, "stoker.outcome").as_deref(), Some("sealed"));
    assert_eq!(attribute(&fetch, "stoker.bytes"), Some(body.len().to_string()));
    let sources = trace.named("source", 2).await;
    let attributes = |at: usize, keys: &[&str]| -> Vec<Option<String>> {
        assert_eq!(sources[at].parent_span_id, id_of(&fetch));
        keys.iter().map(|key| attribute(&sources[at], key)).collect()
    };
    let keys = [
        "stoker.source.kind",
        "stoker.left",
        "stoker.bytes",
        "stoker.chunks",
        "error.type",
    ];
    let text = |text: &str| Some(text.to_owned());
    let first = [
        text("peer"),
        text("wrong_chunk"),
        Some((2 * CHUNK).to_string()),
        text("2"),
        text("wrong_chunk"),
    ];
    assert_eq!(attributes(0, &keys), first);
    let rest = (2 * CHUNK + 5).to_string();
    assert_eq!(
        attributes(1, &keys),
        [text("registry"), text("done"), Some(rest), text("3"), None]
    );
    let parent = damaged.url.trim_start_matches("http://");
    assert_eq!(attributes(0, &["stoker.source"]), [text(parent)]);
    assert!(attributes(1, &["stoker.bytes_per_second"]) != [text("0")]);
    assert_eq!(trace.the("seal").await.parent_span_id, id_of(&fetch));
    let from_registry = trace.the("GET /v2/{repository}/blobs/{digest}").await;
    assert_eq!(from_registry.parent_span_id, id_of(&sources[1]));
}

#[tokio::test]
async fn a_request_to_another_peer_joins_its_span_to_the_trace() {
    let (world, trace) = (FetchFixture::new().await, Trace::begin());
    let body = bytes(CHUNK + 5);
    let parent = Parent::holding(&world.around, &[&body]).await;
    let mut wanted = world.wanted(&Digest::of(&body));
    wanted.parents = vec![parent.url.clone()];
    wanted.trace = Some(trace.context());
    world
        .fetches
        .join_or_start(wanted)
        .sealed()
        .await
        .expect("sealed");
    let source = trace.the("source").await;
    let both = trace.named("GET /share/v1/objects/{digest}", 2).await;
    let (client, server): (Vec<_>, Vec<_>) = both
        .into_iter()
        .partition(|span| span.span_kind == opentelemetry::trace::SpanKind::Client);
    assert_eq!(client[0].parent_span_id, id_of(&source));
    assert_eq!(server[0].parent_span_id, id_of(&client[0]));
    assert_eq!(
        attribute(&client[0], "http.response.body.size"),
        Some(body.len().to_string())
    );
    assert_eq!(
        attribute(&client[0], "server.address").as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(
        attribute(&server[0], "stoker.digest"),
        Some(Digest::of(&body).to_string())
    );
}

#[tokio::test]
async fn a_failed_fetch_s_span_has_the_error_word() {
    let (world, trace) = (FetchFixture::new().await, Trace::begin());
    let mut wanted = world.wanted(&Digest::of(b"nobody has it"));
    wanted.trace = Some(trace.context());
    let error = world
        .fetches
        .join_or_start(wanted)
        .sealed()
        .await
        .expect_err("failed");
    assert_eq!(error.word(), "not_found");
    let fetch = trace.the("fetch").await;
    for (key, value) in [
        ("stoker.outcome", "failed"),
        ("error.type", "not_found"),
        ("stoker.side", "caller"),
    ] {
        assert_eq!(attribute(&fetch, key).as_deref(), Some(value), "{key}");
    }
    assert!(matches!(fetch.status, opentelemetry::trace::Status::Error { .. }));
    let text = counted(&world);
    let failed = "stoker_fetches_ended_total{outcome=\"failed\",side=\"caller\"} 1";
    assert!(text.contains(failed), "{text}");
}

#[tokio::test]
async fn a_shared_fetch_is_counted_once_and_other_readers_get_its_span() {
    let (world, trace) = (FetchFixture::new().await, Trace::begin());
    let (body, gate) = (bytes(2 * CHUNK), CancellationToken::new());
    let digest = Digest::of(&body);
    let treat = Treat {
        bytes: body.clone(),
        hold: Some((CHUNK, gate.clone())),
        ..Treat::default()
    };
    world.registry.put(&digest, treat);
    let mut wanted = world.wanted(&digest);
    wanted.trace = Some(trace.context());
    let starter = world.fetches.join_or_start(wanted);
    let others: Vec<_> = (0..3).map(|_| world.fetch(&digest)).collect();
    assert!(counted(&world).contains("stoker_fetches_running 1"));
    gate.cancel();
    for reader in others.iter().chain([&starter]) {
        assert_eq!(read_all(reader).await, (body.to_vec(), Ok(())));
    }
    starter.sealed().await.expect("sealed");
    let fetch = trace.the("fetch").await;
    assert_eq!((starter.found(), starter.joined()), (FetchStart::Started, None));
    for other in &others {
        assert_eq!(other.found(), FetchStart::Joined);
        let joined = other.joined().expect("the fetch's span");
        assert!(joined.as_str().contains(&id_of(&fetch).to_string()), "{joined:?}");
    }
    assert_eq!(world.fetch(&digest).found(), FetchStart::Held);
    let text = counted(&world);
    for line in [
        "stoker_fetches_ended_total{outcome=\"sealed\",side=\"none\"} 1".to_owned(),
        "stoker_fetches_running 0".to_owned(),
        format!("stoker_bytes_in_total{{source=\"registry\"}} {}", body.len()),
        format!("stoker_store_bytes {}", body.len()),
    ] {
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn chunk_failures_are_counted_by_parent() {
    let world = FetchFixture::new().await;
    let body = bytes(4 * CHUNK);
    let digest = world.registry.serve(&body);
    let damaged = damaged_parent(&world, &body).await;
    let mut wanted = world.wanted(&digest);
    wanted.parents = vec![damaged.url.clone()];
    world
        .fetches
        .join_or_start(wanted)
        .sealed()
        .await
        .expect("sealed");
    let parent = damaged.url.trim_start_matches("http://");
    let text = counted(&world);
    for line in [
        format!("stoker_chunk_failures_total{{parent=\"{parent}\"}} 1"),
        format!("stoker_bytes_in_total{{source=\"peer\"}} {}", 2 * CHUNK),
    ] {
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn the_span_of_a_fetch_is_kept_if_its_trace_is_recorded() {
    let (world, trace) = (FetchFixture::new().await, Trace::begin());
    let (kept, not_kept) = (world.registry.serve(&bytes(9)), world.registry.serve(&bytes(10)));
    let unsampled = trace.context().as_str().replace("-01", "-00");
    let unsampled = wire::TraceContext::parse(&unsampled).expect("a context");
    for (digest, context) in [(&kept, trace.context()), (&not_kept, unsampled)] {
        let mut wanted = world.wanted(digest);
        wanted.trace = Some(context);
        world
            .fetches
            .join_or_start(wanted)
            .sealed()
            .await
            .expect("sealed");
    }
    assert_eq!(world.store.brought(&kept), Some(trace.context()));
    assert_eq!(world.store.brought(&not_kept), None);
}
