//! What is deployed and what is documented name the same things.

use std::collections::BTreeSet;

use saphyr::Yaml;
use world::jaeger::Span;

use crate::expressions::{alerts, file, metrics_in, panels, read, yaml};

/// The metrics of the table in docs/metrics.md: the first word in backticks of each of its rows.
pub(crate) fn documented_metrics() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`').map(|(name, _)| name.to_owned()))
        .collect()
}

/// Names and attributes stand in docs/tracing.md, in backticks.
pub(crate) fn assert_spans_are_documented<'a>(spans: impl Iterator<Item = &'a Span>) {
    let page = read("docs/tracing.md");
    let mut missing = BTreeSet::new();
    for span in spans {
        let words = span.tags.keys().chain([&span.name]);
        let ours = words.filter(|word| !ADDED_BY_THE_LIBRARY.iter().any(|prefix| word.starts_with(prefix)));
        missing.extend(ours.filter(|word| !page.contains(&format!("`{word}`"))).cloned());
    }
    assert!(missing.is_empty(), "not in docs/tracing.md: {missing:?}");
}

/// Of every span of every program.
const ADDED_BY_THE_LIBRARY: [&str; 3] = ["otel.", "span.kind", "error"];

#[test]
fn every_metric_that_an_alert_or_a_panel_names_is_documented() {
    let documented = documented_metrics();
    assert!(documented.len() > 30, "{documented:?}");
    for (place, expression) in alerts().into_iter().chain(panels()) {
        for metric in metrics_in(&expression) {
            assert!(
                documented.contains(&metric),
                "{place}: {metric} is not in docs/metrics.md"
            );
        }
    }
}

#[test]
fn every_alert_says_what_to_do_and_has_a_case() {
    let rules = read("deploy/prometheus/rules.yml");
    let cases = read("deploy/prometheus/rules_test.yml");
    let parsed = yaml(&rules);
    for rule in parsed["groups"][0]["rules"].as_sequence().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        for key in ["summary", "what_to_do"] {
            assert!(
                rule["annotations"][key]
                    .as_str()
                    .is_some_and(|text| text.len() > 20),
                "{name}: {key}"
            );
        }
        assert!(
            cases.contains(&format!("- alertname: {name}\n")),
            "{name} has no case"
        );
    }
}

#[test]
fn the_dashboards_panels_ask_something_and_have_their_own_places() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/stoker.json")).expect("JSON");
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].to_string()), "{panel}");
        let place = &panel["gridPos"];
        assert!(places.insert(format!("{} {}", place["x"], place["y"])), "{panel}");
        let asks = panel["targets"]
            .as_array()
            .is_some_and(|targets| !targets.is_empty());
        assert_eq!(asks, panel["type"] != "row", "{panel}");
    }
}

#[test]
fn the_compose_file_names_files_that_are_there() {
    let text = read("deploy/compose/compose.yaml");
    let compose = yaml(&text);
    for service in ["stoker", "jaeger", "prometheus", "grafana"] {
        let service = &compose["services"][service];
        assert!(service["image"].as_str().is_some(), "{service:?}");
        let empty = Vec::new();
        for volume in service
            .as_mapping_get("volumes")
            .and_then(Yaml::as_sequence)
            .unwrap_or(&empty)
        {
            let here = volume
                .as_str()
                .and_then(|volume| volume.split_once(':'))
                .expect("a volume")
                .0;
            let is_path = here.starts_with('.');
            assert!(!is_path || file("deploy/compose").join(here).exists(), "{here}");
        }
    }
    let build = &compose["services"]["stoker"]["build"];
    let context = file("deploy/compose").join(build["context"].as_str().expect("a context"));
    assert!(
        context
            .join(build["dockerfile"].as_str().expect("a file"))
            .exists()
    );
}

#[test]
fn every_yaml_file_of_ours_can_be_read() {
    for path in [
        "ci/tools/jaeger/jaeger.yaml",
        "deploy/compose/grafana-dashboards.yaml",
        "deploy/compose/grafana-datasources.yaml",
        "deploy/compose/prometheus.yml",
        "deploy/prometheus/rules_test.yml",
        "deploy/prometheus/scrape-example.yml",
    ] {
        yaml(&read(path));
    }
}
