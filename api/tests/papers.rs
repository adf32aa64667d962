//! What the threat model claims is shown by the tests that it names: each of them is there.

use std::path::{Path, PathBuf};

/// Short names that the page uses for folders of tests.
const SHORT: [(&str, &str); 6] = [
    ("e2e/", "api/tests/end_to_end/"),
    ("server/", "api/tests/server/"),
    ("front/", "peer/src/front/tests/"),
    ("share/", "peer/src/share/tests/"),
    ("oci/", "common/oci/tests/registry/"),
    ("serve/", "common/process/src/serve/"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `file.rs::test_name`, between back quotes.
fn cited(page: &str) -> Vec<(String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let pairs = quoted.filter_map(|text| text.split_once("::"));
    pairs
        .filter(|(file, name)| {
            Path::new(file).extension().is_some_and(|ending| ending == "rs") && !name.contains(' ')
        })
        .map(|(file, name)| (in_full(file), name.to_owned()))
        .collect()
}

fn in_full(file: &str) -> String {
    let found = SHORT.iter().find_map(|(short, full)| {
        let rest = file.strip_prefix(short)?;
        Some(format!("{full}{rest}"))
    });
    found.unwrap_or_else(|| file.to_owned())
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let page = std::fs::read_to_string(root().join("docs/threat-model.md")).expect("the page");
    let cited = cited(&page);
    assert!(cited.len() > 100, "{} tests are named", cited.len());
    let is_there = |(file, name): &&(String, String)| {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        text.contains(&format!("fn {name}("))
    };
    let missing: Vec<_> = cited.iter().filter(|one| !is_there(one)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
