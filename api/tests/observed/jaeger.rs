//! One preheat is one trace, whatever happens to the manager meanwhile, and a pull says which preheat brought its bytes.

use std::time::Duration;

use world::Jaeger;
use world::jaeger::{Span, Trace};

use crate::site::Site;
use crate::tree;
use crate::{LIMIT, documents};

const POST: &str = "POST /oapi/v1/jobs";
const GET_MANIFEST: &str = "GET /v2/{repository}/manifests/{reference}";
const GET_BLOB: &str = "GET /v2/{repository}/blobs/{digest}";
const PEERS: usize = 3;
/// Longer than any of our programs waits until it sends what it has.
const NEXT_BATCH: Duration = Duration::from_millis(600);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Jaeger: make test-all"]
async fn a_preheat_is_one_trace_and_a_pull_links_to_it() {
    let jaeger = Jaeger::start().await;
    let site = Site::start(Some(&jaeger.by_grpc())).await;
    let id = site.submit("v1").await;
    site.succeeds(id).await;
    let trace = whole_trace(&jaeger, &site, id).await;
    assert_services(&trace);
    tree::assert_documented(&tree::render(&trace));

    site.pull().await;
    let pulls = pulls_of(&jaeger, &site).await;
    for pull in &pulls {
        assert_links_to_the_placement(pull, &trace);
    }
    documents::assert_spans_are_documented(trace.spans.iter().chain(&pulls));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Jaeger: make test-all"]
async fn a_manager_that_is_killed_goes_on_with_the_same_trace() {
    let jaeger = Jaeger::start().await;
    let mut site = Site::start(Some(&jaeger.by_http())).await;
    site.registry.hang();
    let id = site.submit("v1").await;
    let trace_id = site.trace_id(id).await;
    resolving(&site).await;
    let before = jaeger
        .trace_when(&trace_id, |trace| trace.named(POST).len() == 1)
        .await;
    site.manager.kill9();
    site.registry.resume();
    site.manager.start_again().await;
    site.succeeds(id).await;

    let trace = whole_trace(&jaeger, &site, id).await;
    assert_eq!(trace.id, before.id);
    assert_services(&trace);
    for span in &before.spans {
        assert!(trace.span(&span.id).is_some(), "{} is gone:\n{trace}", span.name);
    }
    let attempts: Vec<_> = trace
        .named("resolve")
        .iter()
        .map(|span| span.number("stoker.attempt"))
        .collect();
    assert_eq!(attempts, [Some(2)], "the first one died with its manager");
    // What was open at the kill was done again: the tree is the one of a preheat that nobody disturbed.
    tree::assert_documented(&tree::render(&trace));
}

/// The first attempt has begun, and cannot end while the registry holds the manifest back.
async fn resolving(site: &Site) {
    let url = format!("{}/metrics", site.manager.admin_url());
    world::eventually("the preheat is being resolved", LIMIT, async || {
        let answer = world::http::client(None).get(&url).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let running = "stoker_queue_depth{kind=\"resolve\",state=\"running\"} 1";
        text.lines().any(|line| line == running).then_some(())
    })
    .await;
}

/// Every placement and settle has arrived, every parent too, and nothing came after that.
async fn whole_trace(jaeger: &Jaeger, site: &Site, id: i64) -> Trace {
    let trace_id = site.trace_id(id).await;
    let placements = site.image.digests().len() * PEERS;
    let is_whole = |trace: &Trace| {
        let settled = trace.named("settle");
        let mut peers: Vec<_> = settled
            .iter()
            .filter_map(|span| span.text("stoker.peer"))
            .collect();
        peers.sort_unstable();
        peers.dedup();
        trace.named("placement").len() == placements && peers.len() == PEERS
    };
    let mut trace = jaeger.trace_when(&trace_id, is_whole).await;
    loop {
        tokio::time::sleep(NEXT_BATCH).await;
        let again = jaeger.trace_when(&trace_id, is_whole).await;
        if again.spans.len() == trace.spans.len() {
            return again;
        }
        trace = again;
    }
}

fn assert_services(trace: &Trace) {
    let services: Vec<&str> = trace.services().into_iter().collect();
    assert_eq!(
        services,
        ["stoker-manager", "stoker-peer", "stoker-seed"],
        "{trace}"
    );
    assert_eq!(trace.roots().len(), 1, "one root:\n{trace}");
}

/// The spans of the node's front that gave the image to containerd: the manifest, and each blob once.
async fn pulls_of(jaeger: &Jaeger, site: &Site) -> Vec<Span> {
    let mut served = served(jaeger, GET_MANIFEST, 1).await;
    served.extend(self::served(jaeger, GET_BLOB, site.image.digests().len() - 1).await);
    served
}

async fn served(jaeger: &Jaeger, name: &str, at_least: usize) -> Vec<Span> {
    world::eventually("the spans of the pull", LIMIT, async || {
        let traces = jaeger.traces("stoker-peer", name).await;
        let spans = traces.into_iter().flat_map(|trace| trace.spans);
        let served: Vec<Span> = spans
            .filter(|span| span.name == name && span.text("span.kind") == Some("server"))
            .collect();
        (served.len() >= at_least).then_some(served)
    })
    .await
}

fn assert_links_to_the_placement(pull: &Span, preheat: &Trace) {
    assert_eq!(pull.text("stoker.result"), Some("hit"), "{pull:#?}");
    let link = pull.links.iter().find(|link| link.trace == preheat.id);
    let link = link.unwrap_or_else(|| panic!("no link to {}: {pull:#?}", preheat.id));
    let placement = preheat.span(&link.span).expect("the span that it links to");
    assert_eq!(placement.name, "placement");
    assert_eq!(placement.service, "stoker-peer");
    assert_eq!(placement.text("stoker.digest"), pull.text("stoker.digest"));
}
