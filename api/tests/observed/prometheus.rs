//! What a real Prometheus makes of our admin ports, and `promtool` of our rules.

use std::collections::BTreeSet;
use std::time::Duration;

use world::harbor::{State, Wish};
use world::prometheus::promtool;
use world::{ImageSpec, ManagerSpec, Prometheus, Registry};

use crate::LIMIT;
use crate::documents::documented_metrics;
use crate::expressions::{alerts, file, left_side, panels};
use crate::site::Site;

/// Rates need two scrapes; a few more even out a slow machine.
const SCRAPES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: make test-all"]
async fn every_panel_and_every_alert_has_data_after_a_preheat_and_a_pull() {
    let site = used_site().await;
    let targets = [
        ("stoker-manager", site.manager.admin_url()),
        ("stoker-seed", site.seeds[0].admin_url()),
        ("stoker-seed", site.seeds[1].admin_url()),
        ("stoker-peer", site.node.admin_url()),
    ];
    let prometheus = Prometheus::start(&targets).await;
    prometheus.scraped(targets.len(), SCRAPES, LIMIT).await;
    let mut silent = Vec::new();
    let lefts = alerts()
        .into_iter()
        .map(|(name, rule)| (name, left_side(&rule).to_owned()));
    for (place, expression) in panels().into_iter().chain(lefts) {
        match prometheus.query(&expression).await {
            Ok(series) if !series.is_empty() => {}
            other => silent.push(format!("{place}: {expression}: {other:?}")),
        }
    }
    assert!(silent.is_empty(), "without data:\n{}", silent.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: make test-all"]
async fn promtool_accepts_every_admin_port_and_the_documentation_lists_what_is_there() {
    let site = used_site().await;
    let mut seen = BTreeSet::new();
    for (name, admin) in [
        ("manager", site.manager.admin_url()),
        ("seed", site.seeds[0].admin_url()),
        ("node", site.node.admin_url()),
    ] {
        let text = metrics_of(&admin).await;
        let folder = std::env::temp_dir();
        let judged = promtool(&folder, &["check", "metrics"], Some(&text)).await;
        judged.unwrap_or_else(|said| panic!("{name}: {said}\n{text}"));
        seen.extend(families(&text));
    }
    let documented = documented_metrics();
    let missing: Vec<_> = seen.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "on an admin port, not in docs/metrics.md: {missing:?}"
    );
    let gone: Vec<_> = documented.difference(&seen).collect();
    assert!(gone.is_empty(), "in docs/metrics.md, on no admin port: {gone:?}");
}

#[tokio::test]
#[ignore = "needs promtool: make test-all"]
async fn the_alerts_fire_when_they_have_to() {
    let folder = file("deploy/prometheus");
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "scrape-example.yml"],
    ] {
        let said = promtool(&folder, &arguments, None).await;
        said.unwrap_or_else(|said| panic!("promtool {arguments:?}: {said}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool: make test-all"]
async fn manager_and_peer_in_one_process_have_one_set_of_metrics() {
    let registry = Registry::plain().await;
    let image = ImageSpec::small(42).build();
    registry.push(&image, "library/app", "v1").await;
    let described = format!("[registry.\"{}\"]\nplain_http = true\n", registry.host());
    let manager = ManagerSpec::new().config(&described).start_up().await;
    let mut harbor = manager.harbor();
    let wish = Wish::new(registry.manifest_url("library/app", "v1"));
    let id = harbor.preheat(&wish).await.expect("taken").id;
    assert_eq!(harbor.until_done(id, LIMIT).await.state, State::Success);

    let text = metrics_of(&manager.admin_url()).await;
    let judged = promtool(&std::env::temp_dir(), &["check", "metrics"], Some(&text)).await;
    judged.unwrap_or_else(|said| panic!("{said}\n{text}"));
    let names: BTreeSet<String> = families(&text).into_iter().collect();
    assert_eq!(names.len(), families(&text).len(), "a metric twice:\n{text}");
    assert_eq!(names, documented_metrics());
    // The manager asks for manifests, and the peer for blobs.
    for object in ["manifest", "blob"] {
        let asked = format!("stoker_object=\"{object}\",http_response_status_code=\"200\"}}");
        let counted = text.lines().find(|line| line.contains(&asked)).expect(object);
        assert!(!counted.ends_with(" 0"), "{counted}");
    }
}

/// A site that has done what it is for.
async fn used_site() -> Site {
    let site = Site::start(None).await;
    let id = site.submit("v1").await;
    site.succeeds(id).await;
    site.pull().await;
    site
}

async fn metrics_of(admin: &str) -> String {
    let client = world::http::client(None);
    let request = client
        .get(format!("{admin}/metrics"))
        .timeout(Duration::from_secs(10));
    let answer = request.send().await.expect("answered");
    answer.text().await.expect("text")
}

/// The names behind `# TYPE`.
fn families(text: &str) -> Vec<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' ').map(|(name, _)| name.to_owned()))
        .collect()
}
