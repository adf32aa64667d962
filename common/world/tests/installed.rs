//! `make test-packages` installs every program that the tests start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The code before the name of a program that is started.
const STARTS: [&str; 6] = [
    "Command::new(\"",
    ".command(\"",
    "command_on(self.host.as_ref(), \"",
    "run(\"",
    "well(\"",
    "output(\"",
];
/// Parts of every Debian system.
const ESSENTIAL: [&str; 5] = ["/bin/sh", "sh", "grep", "sha256sum", "sleep"];
/// Installed by `make test-all`, for the observed tests only.
const OBSERVED: [&str; 1] = ["prometheus"];
/// Missing on purpose: a test checks the error.
const ABSENT: [&str; 1] = ["no-such-program-anywhere"];

#[test]
fn every_program_that_a_test_starts_is_in_the_package_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut started = BTreeSet::new();
    for file in rust_files(&root) {
        started.extend(programs(&std::fs::read_to_string(file).expect("text")));
    }
    for known in ["kill", "mkfs.ext4", "docker-registry", "ip"] {
        assert!(started.contains(known), "{known} was not found in {started:?}");
    }
    let script = std::fs::read_to_string(root.join("ci/test-packages")).expect("the script");
    let installed: BTreeSet<&str> = listed(&script)
        .chain(ESSENTIAL)
        .chain(OBSERVED)
        .chain(ABSENT)
        .collect();
    let missing: Vec<_> = started
        .iter()
        .filter(|program| !installed.contains(program.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "tests start {missing:?}: add each to ci/test-packages, with its package"
    );
}

/// Returns the words of `programs="…"`.
fn listed(script: &str) -> impl Iterator<Item = &str> {
    let (_, from) = script.split_once("\nprograms=\"").expect("a list of programs");
    from.split('"').next().unwrap_or_default().split_whitespace()
}

fn programs(source: &str) -> Vec<String> {
    let named = STARTS.iter().flat_map(|start| source.split(start).skip(1));
    named
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Folders without tests of ours; benchmarks have `ci/bench-packages`. This file only names programs.
fn is_searched(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    !name.starts_with('.') && !["target", "bench", "installed.rs"].contains(&name)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if !is_searched(&path) => {}
            _ if path.is_dir() => found.extend(rust_files(&path)),
            Some(ending) if ending == "rs" => found.push(path),
            _ => {}
        }
    }
    found
}
