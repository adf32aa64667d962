//! The thread is not cut: the caller's trace id stands in the log lines of manager and seed, and in the answer.

use serde_json::json;
use world::{ImageSpec, ManagerSpec, Peer, Registry, eventually};

use crate::{LIMIT, described};

/// The log message of a peer whose placement failed.
const FAILED: &str = "placement failed";

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread")]
async fn request_resolve_and_placements_are_one_trace() {
    let registry = Registry::plain().await;
    registry
        .push(&ImageSpec::small(41).build(), "library/app", "v1")
        .await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .config("[telemetry]\njaeger_ui = \"http://jaeger.example:16686\"")
        .start()
        .await;
    // A seed that cannot write has something to say about a placement, under the trace of its preheat.
    let seed = Peer::seed("seed", &manager).await;

    let body = json!({"image": format!("{}/library/app:missing", registry.host())});
    let asked = |body: serde_json::Value| {
        registry
            .client()
            .post(format!("{}/api/v1/preheats", manager.url()))
            .bearer_auth(manager.admin_token())
            .header("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01"))
            .json(&body)
            .send()
    };
    let answer: serde_json::Value = asked(body).await.expect("answered").json().await.expect("JSON");
    assert_eq!(answer["trace_id"], TRACE_ID, "{answer}");
    let link = format!("http://jaeger.example:16686/trace/{TRACE_ID}");
    assert_eq!(answer["trace_url"], link, "{answer}");
    eventually("the manager's line about the end", LIMIT, async || {
        let log = manager.log();
        log.lines()
            .any(|line| line.contains(&link) && line.contains("failed"))
            .then_some(())
    })
    .await;

    registry
        .push(&ImageSpec::small(42).build(), "library/lost", "v1")
        .await;
    let image = ImageSpec::small(42).build();
    registry.lose(&image.layers()[0].digest);
    let body = json!({"image": format!("{}/library/lost:v1", registry.host())});
    asked(body).await.expect("answered");
    eventually(
        "the seed's line about a placement that failed",
        LIMIT,
        async || {
            let log = seed.log();
            log.lines()
                .any(|line| line.contains(TRACE_ID) && line.contains(FAILED))
                .then_some(())
        },
    )
    .await;
}
