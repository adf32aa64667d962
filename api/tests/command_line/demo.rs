//! The demo to its closing table. It checks its own claims; here only that it gets there and says them.

use super::{stoker, told};

#[test]
fn the_demo_reaches_its_closing_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = stoker(&["demo", "--size", "8MiB"])
        .env("TMPDIR", folder.path())
        .output()
        .expect("run");
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let promised = [
        "POST /oapi/v1/jobs",
        "\"state\":\"PENDING\"",
        "\"state\":\"SUCCESS\"",
        "The registry is switched off",
        "node-1  linux/amd64",
        "node-2  linux/arm64",
        "FROM REGISTRY",
        "linux/amd64 layer 1",
        "What to try next",
    ];
    for promise in promised {
        assert!(told.contains(promise), "`{promise}` is missing in:\n{told}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("listed").collect();
    assert!(left.is_empty(), "the demo left something behind: {left:?}");
}

#[test]
fn a_jaeger_that_does_not_answer_is_named_and_the_demo_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let output = stoker(&["demo", "--size", "1MiB", "--jaeger", &address])
        .env("TMPDIR", folder.path())
        .output()
        .expect("run");
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains(&format!("no Jaeger takes traces at {address}")),
        "{told}"
    );
    assert!(!told.contains("/trace/"), "{told}");
}
