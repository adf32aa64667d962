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
