//! The expressions of dashboard and alert rules, taken apart as far as the tests need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::Value;

/// What our metrics' names begin with; functions and labels of others do not.
const OURS: [&str; 3] = ["stoker_", "http_server_", "process_"];
/// As Grafana would fill it in for a short window.
const RATE_INTERVAL: &str = "1m";

/// A file of the project.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn yaml(text: &str) -> Yaml<'_> {
    let mut documents = Yaml::load_from_str(text).expect("YAML");
    assert_eq!(documents.len(), 1, "one document");
    documents.remove(0)
}

/// `(alert, expression)` of every rule.
pub(crate) fn alerts() -> Vec<(String, String)> {
    let text = read("deploy/prometheus/rules.yml");
    let rules = yaml(&text);
    let groups = rules["groups"].as_sequence().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("rules"));
    rules
        .map(|rule| {
            let text = |key: &str| rule[key].as_str().expect(key).to_owned();
            (text("alert"), text("expr"))
        })
        .collect()
}

/// `(panel, expression)` of everything that the dashboard asks.
pub(crate) fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/stoker.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let asks = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let title = panel["title"].as_str().expect("a title").to_owned();
        targets.into_iter().map(move |target| (title.clone(), target))
    });
    asks.map(|(title, target)| {
        let expression = target["expr"].as_str().expect("an expression");
        (title, expression.replace("$__rate_interval", RATE_INTERVAL))
    })
    .collect()
}

/// The metrics that an expression names, as the tables name them: a histogram by its base name.
pub(crate) fn metrics_in(expression: &str) -> BTreeSet<String> {
    let plain = without_labels(expression);
    let words = plain.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| OURS.iter().any(|prefix| word.starts_with(prefix)))
        .map(|word| base_name(word).to_owned())
        .collect()
}

pub(crate) fn base_name(sample: &str) -> &str {
    let suffixes = ["_bucket", "_count", "_sum"];
    suffixes
        .iter()
        .find_map(|suffix| sample.strip_suffix(suffix))
        .unwrap_or(sample)
}

/// Without `{…}` and without what stands behind `by`.
fn without_labels(expression: &str) -> String {
    let mut rest = expression;
    let mut plain = String::new();
    while let Some(at) = rest.find(['{', 'b']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let closing = match from {
            _ if from.starts_with('{') => '}',
            _ if from.starts_with("by (") && before.ends_with(' ') => ')',
            _ => {
                plain.push('b');
                rest = &from[1..];
                continue;
            }
        };
        let end = from.find(closing).expect("a closed bracket");
        plain.push(' ');
        rest = &from[end + 1..];
    }
    plain + rest
}

/// What stands left of the comparison at the end of a rule.
pub(crate) fn left_side(rule: &str) -> &str {
    let comparisons = [" == ", " != ", " >= ", " <= ", " > ", " < "];
    let at = comparisons.iter().filter_map(|sign| rule.rfind(sign)).max();
    &rule[..at.unwrap_or_else(|| panic!("no comparison in {rule}"))]
}

#[test]
fn the_names_of_metrics_are_found_and_those_of_labels_are_not() {
    let expression = "histogram_quantile(0.9, sum by (le, stoker_door) \
        (rate(http_server_request_duration_seconds_bucket{stoker_object=\"blob\"}[5m]))) / stoker_bytes_total > 1";
    let found: Vec<String> = metrics_in(expression).into_iter().collect();
    assert_eq!(
        found,
        ["http_server_request_duration_seconds", "stoker_bytes_total"]
    );
    assert!(left_side(expression).ends_with("stoker_bytes_total"));
}
