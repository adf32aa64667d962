//! Planted secrets are found nowhere: database and its log, folders, logs, API, OpenAPI document, spans, metrics.

use std::path::PathBuf;

use world::harbor::Wish;
use world::registry::{BearerSpec, PASSWORD, USER};
use world::secrets::Planted;
use world::{Collector, Containerd, ImageSpec, Manager, ManagerSpec, Mood, PeerSpec, Registry};

use crate::{described, preheat, preheat_well};

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_found_nowhere() {
    let spec = BearerSpec::default().user("carol", "carols-p4ss:w/rd+", &["team/app"]);
    let registry = Registry::bearer(spec).await;
    let image = ImageSpec::small(31).build();
    registry.push(&image, "team/app", "v1").await;
    let config = described(&registry, None) + "username = \"robot\"\npassword = \"r0bots-Pa55word\"\n";
    // The configuration file holds a secret by its nature; it lies beside the places that are looked at.
    let collector = Collector::start(Mood::Keeps).await;
    let manager = ManagerSpec::new()
        .config(&config)
        .environment("RUST_LOG", "debug")
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .start()
        .await;
    let seed = PeerSpec::seed("seed")
        .environment("RUST_LOG", "debug")
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .start(&manager)
        .await;

    let jwt = registry.token_server().jwt_for(USER, "team/app");
    let dead = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJkaXN0cmlidXRvciJ9.ZGVhZC1zaWduYXR1cmUtb2YtYS10b2tlbg";
    preheat_well(
        &manager,
        &Wish::new(registry.manifest_url("team/app", "v1")).jwt(jwt.clone()),
    )
    .await;
    preheat(
        &manager,
        &Wish::new(registry.manifest_url("team/app", "missing")).jwt(dead),
    )
    .await;
    let asked = serde_json::json!({
        "image": format!("{}/team/app:v1", registry.host()),
        "credential": {"username": "carol", "password": "carols-p4ss:w/rd+"},
    });
    let native = manager.post("/api/v1/preheats", &asked).await;
    let (endpoint, old) = through_an_endpoint(&manager, &registry).await;
    let containerd = Containerd::start().await;
    containerd.mirror_only(&registry, &seed.front_url());
    let name = format!("{}/team/app:v1", registry.host());
    containerd
        .pull(&name, Some(("carol", "carols-p4ss:w/rd+")))
        .await
        .expect("pulled");

    let planted = Planted::new()
        .password("the user's password", "carol", "carols-p4ss:w/rd+")
        .password("the registry's own password", USER, PASSWORD)
        .password("the configured password", "robot", "r0bots-Pa55word")
        .secret(
            "the endpoint's token",
            endpoint.rsplit('/').next().unwrap_or_default(),
        )
        .jwt("Harbor's token", &jwt)
        .jwt("Harbor's dead token", dead);
    let mut answers = vec![
        ("native".to_owned(), native.to_string()),
        ("old".to_owned(), old.to_string()),
    ];
    answers.extend(told_by_the_api(&manager).await);
    for (whose, admin) in [("manager", manager.admin_url()), ("seed", seed.admin_url())] {
        answers.push((
            format!("metrics of the {whose}"),
            metrics(&registry, &admin).await,
        ));
    }
    for (path, text) in &answers {
        let found = planted.found_in_text(path, text);
        assert!(found.is_empty(), "{found:?}");
    }
    // Once with everything running (the database's log is there), once after all has been written out.
    let places: Vec<PathBuf> = vec![
        manager.data_dir(),
        manager.log_file(),
        seed.data_dir(),
        seed.log_file(),
    ];
    let found = planted.found_in_files(&places).await;
    assert!(found.is_empty(), "{found:?}");
    let (mut manager, mut seed) = (manager, seed);
    manager.stop().await;
    seed.stop().await;
    let found = planted.found_in_files(&places).await;
    assert!(found.is_empty(), "{found:?}");
    // Stopping has sent the last of them.
    let spans = spans_in(&collector);
    let found = planted.found_in_text("spans", &spans);
    assert!(found.is_empty(), "{found:?}");
}

/// Everything that was sent to the collector, once it is sure that it holds what was asked.
fn spans_in(collector: &Collector) -> String {
    let spans = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for told in [
        "POST /oapi/v1/jobs",
        "POST /preheats",
        "GET /_ping",
        "/v2/{repository}/blobs/{digest}",
        "team/app",
        "stoker-seed",
    ] {
        assert!(
            spans.contains(told),
            "{told} is in no span: nothing can be found in them"
        );
    }
    spans
}

async fn told_by_the_api(manager: &Manager) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    for path in [
        "/api/v1/preheats",
        "/api/v1/preheats/1",
        "/api/v1/preheats/2",
        "/api/v1/preheats/1/objects",
        "/api/v1/peers",
        "/api/v1/clusters",
        "/openapi.json",
    ] {
        answers.push((path.to_owned(), manager.get(path).await.to_string()));
    }
    answers
}

/// Asks in all ways by a path with a token in it, good ones and bad ones; gives the endpoint and an answer.
async fn through_an_endpoint(manager: &Manager, registry: &Registry) -> (String, serde_json::Value) {
    let endpoint = manager.new_endpoint().await;
    let asked = serde_json::json!({"url": registry.manifest_url("team/app", "v1")});
    let old = manager.bare_post(&format!("{endpoint}/preheats"), &asked).await;
    for odd in ["/_ping", "", "/api/v1/tokens", "/preheats/x"] {
        for front in ["", "/proxy", "/"] {
            let url = format!("{}{front}{endpoint}{odd}", manager.url());
            let answer = registry.client().get(url).send().await.expect("answered");
            assert!(!answer.text().await.expect("text").contains(&endpoint));
        }
    }
    (endpoint, old)
}

async fn metrics(registry: &Registry, admin: &str) -> String {
    let answer = registry.client().get(format!("{admin}/metrics")).send().await;
    let text = answer.expect("answered").text().await.expect("text");
    assert!(text.contains("stoker_registry_requests_total{"), "{text}");
    text
}
