//! The demo. It checks its results itself; these tests check that it reaches its end and prints the facts.

use super::{stoker, transcript};

#[test]
fn the_demo_runs_to_its_end_and_prints_its_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = stoker(&["demo", "--size", "8MiB"])
        .env("TMPDIR", folder.path())
        .output()
        .expect("run");
    let text = transcript(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let facts = [
        "POST /oapi/v1/jobs",
        "\"state\":\"PENDING\"",
        "\"state\":\"SUCCESS\"",
        "node-1  linux/amd64",
        "node-2  linux/arm64",
        "FROM REGISTRY",
        "linux/amd64 layer 1",
        "stoker up --data-dir",
    ];
    for fact in facts {
        assert!(text.contains(fact), "`{fact}` is missing in:\n{text}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").collect();
    assert!(left.is_empty(), "the demo left files: {left:?}");
}

#[test]
fn an_unreachable_jaeger_is_named_and_the_demo_continues() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let output = stoker(&["demo", "--size", "1MiB", "--jaeger", &address])
        .env("TMPDIR", folder.path())
        .output()
        .expect("run");
    let text = transcript(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains(&address) && text.contains("--jaeger"), "{text}");
    assert!(!text.contains("/trace/"), "{text}");
}
