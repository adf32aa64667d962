//! Arrows between our crates point down, as ARCHITECTURE.md draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate, and those of ours that it may use outside its tests.
const ARROWS: [(&str, &[&str]); 13] = [
    (
        "api",
        &[
            "clients",
            "migrations",
            "oci",
            "peer",
            "preheat",
            "process",
            "queue",
            "settings",
            "wire",
        ],
    ),
    ("bench", &["world"]),
    ("clients", &["oci", "process"]),
    ("migrations", &[]),
    ("oci", &[]),
    (
        "peer",
        &["clients", "oci", "process", "settings", "store", "wire"],
    ),
    ("preheat", &["oci", "queue", "wire"]),
    ("process", &[]),
    ("queue", &[]),
    ("settings", &["oci", "process", "wire"]),
    ("store", &["oci", "process", "wire"]),
    ("wire", &[]),
    ("world", &[]),
];

/// Crates that a program on every node must not carry.
const NOT_IN_THE_PEER: [&str; 3] = ["sea-orm", "sqlx", "sea-orm-migration"];

fn metadata() -> cargo_metadata::Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}

#[test]
fn arrows_between_crates_point_down() {
    let metadata = metadata();
    let members: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let drawn: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .into_iter()
        .map(|(from, to)| (from, to.iter().copied().collect()))
        .collect();
    assert_eq!(
        members,
        drawn.keys().copied().collect(),
        "a crate came or went: draw its arrows here"
    );
    for package in metadata.workspace_packages() {
        let used: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.as_str())
            .filter(|name| members.contains(name))
            .collect();
        let undrawn: Vec<_> = used.difference(&drawn[package.name.as_str()]).collect();
        assert!(
            undrawn.is_empty(),
            "{} uses {undrawn:?}, which no arrow allows",
            package.name
        );
    }
}

#[test]
fn the_peer_carries_no_database() {
    let metadata = metadata();
    let graph: BTreeMap<_, _> = metadata
        .resolve
        .as_ref()
        .expect("a resolved graph")
        .nodes
        .iter()
        .map(|node| (&node.id, node))
        .collect();
    let peer = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "peer")
        .expect("the peer");
    let mut seen = BTreeSet::new();
    let mut left = vec![&peer.id];
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        left.extend(graph[id].deps.iter().filter_map(|dependency| {
            let shipped = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            shipped.then_some(&dependency.pkg)
        }));
    }
    let carried: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| seen.contains(&package.id) && NOT_IN_THE_PEER.contains(&package.name.as_str()))
        .map(|package| package.name.to_string())
        .collect();
    assert!(carried.is_empty(), "the peer carries {carried:?}");
}

/// Crates whose modules are free of circles; folder of their sources.
const WITHOUT_CIRCLES: [&str; 6] = [
    "common/oci/src",
    "common/process/src",
    "common/settings/src",
    "common/wire/src",
    "peer/src",
    "peer/store/src",
];

/// Each module at the top of a crate, and those of the same crate that its own files (tests aside) name.
fn arrows_between_modules(sources: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut left = vec![sources.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let inside = path.strip_prefix(sources).expect("below");
            let first = inside.components().next().expect("a name").as_os_str();
            let module = first.to_str().expect("text").trim_end_matches(".rs").to_owned();
            let is_root = matches!(module.as_str(), "lib" | "main");
            let is_test = inside.to_string_lossy().contains("tests");
            if path.extension().is_none_or(|ending| ending != "rs") || is_root || is_test {
                continue;
            }
            let named = named_modules(&std::fs::read_to_string(&path).expect("text"));
            let others = named.into_iter().filter(|other| *other != module);
            arrows.entry(module.clone()).or_default().extend(others);
        }
    }
    arrows
}

fn named_modules(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line))
        .collect();
    // Tests stand at the foot of a file.
    let foot = code
        .iter()
        .position(|line| line.trim_start().starts_with("#[cfg(test)]"));
    let is_before_tests = |at: usize| foot.is_none_or(|foot| at < foot || !code[foot + 1].contains("mod "));
    let named = code.iter().enumerate().filter(|(at, _)| is_before_tests(*at));
    named
        .flat_map(|(_, line)| line.split("crate::").skip(1))
        .map(|rest| {
            let is_letter = |letter: &char| letter.is_ascii_lowercase() || *letter == '_';
            rest.chars().take_while(is_letter).collect::<String>()
        })
        .filter(|module| !module.is_empty())
        .collect()
}

fn reached<'a>(from: &'a str, arrows: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left = vec![from];
    while let Some(module) = left.pop() {
        for next in arrows.get(module).into_iter().flatten() {
            if seen.insert(next.as_str()) {
                left.push(next);
            }
        }
    }
    seen
}

#[test]
fn modules_form_no_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for sources in WITHOUT_CIRCLES {
        let arrows = arrows_between_modules(&root.join(sources));
        assert!(arrows.len() > 3, "{sources}: {arrows:?}");
        let in_circles: Vec<&String> = arrows
            .keys()
            .filter(|module| reached(module, &arrows).contains(module.as_str()))
            .collect();
        assert!(
            in_circles.is_empty(),
            "{sources}: {in_circles:?} import each other"
        );
    }
}

/// Files of `api` that may name the peer: `up`, `demo`, and what the configuration says of the peer in `up`.
fn may_name_the_peer(file: &Path) -> bool {
    let stems = file.with_extension("");
    let mut parts = stems.iter().filter_map(|part| part.to_str());
    parts.any(|part| matches!(part, "up" | "demo" | "beside" | "tests"))
}

fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut left = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            files.push(path);
        }
    }
    files
}

/// Whether the code names the crate `peer`, and not a module of that name.
fn names_the_peer(source: &str) -> bool {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or(line));
    let own_module = source.contains("mod peer;");
    let names_it = |line: &str| {
        let mut rest = line.match_indices("peer::");
        rest.any(|(at, _)| !line[..at].ends_with([':', '_']) && !line[..at].ends_with(char::is_alphanumeric))
    };
    !own_module && code.into_iter().any(names_it)
}

#[test]
fn only_up_and_demo_name_the_peer() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let naming: Vec<_> = sources_below(&sources)
        .into_iter()
        .map(|file| file.strip_prefix(&sources).expect("below").to_owned())
        .filter(|file| names_the_peer(&std::fs::read_to_string(sources.join(file)).expect("text")))
        .collect();
    assert!(naming.iter().any(|file| may_name_the_peer(file)), "{naming:?}");
    let others: Vec<_> = naming.iter().filter(|file| !may_name_the_peer(file)).collect();
    assert!(others.is_empty(), "{others:?}");
}
