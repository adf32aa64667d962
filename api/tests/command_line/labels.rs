//! Labels: from the command line to the manager and back.

use std::process::Output;

use super::up::Up;
use super::{stoker, transcript};

fn run(up: &Up, token: &str, arguments: &[&str]) -> Output {
    let server = format!("http://{}", up.listen);
    stoker(arguments)
        .args(["--server", &server, "--token-file", token])
        .output()
        .expect("run")
}

/// What a successful command printed.
fn printed_by(up: &Up, token: &str, arguments: &[&str]) -> String {
    let output = run(up, token, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn labels_are_shown_and_select_preheats() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path());
    let token = folder.path().join("admin.token");
    let token = token.to_str().expect("a path");
    let image = "127.0.0.1:1/app:1";
    let labels = ["--label", "team=a b", "--label", "example.com/x=1=2"];
    printed_by(&up, token, &[&["preheat", image][..], &labels[..]].concat());
    printed_by(
        &up,
        token,
        &["preheat", "127.0.0.1:1/other:1", "--label", "team=b"],
    );

    let shown = printed_by(&up, token, &["preheats", "1"]);
    for label in ["example.com/x=1=2", "team=a b"] {
        assert!(shown.contains(label), "{shown}");
    }
    let listed = printed_by(&up, token, &[&["preheats"][..], &labels[..]].concat());
    assert!(
        listed.contains(image) && listed.contains("team=a b") && !listed.contains("other"),
        "{listed}"
    );
    let none = printed_by(&up, token, &["preheats", "--label", "team=c"]);
    assert_eq!(none, "");
}

#[test]
fn bad_labels_are_wrong_use() {
    for bad in [
        &["preheat", "a", "--label", "team"][..],
        &["preheat", "a", "--label", "-a=b"],
        &["preheat", "a", "--label", "k=a", "--label", "k=b"],
        &["preheats", "--label", "=v"],
    ] {
        let output = stoker(bad)
            .args(["--server", "http://127.0.0.1:1"])
            .output()
            .expect("run");
        assert_eq!(output.status.code(), Some(64), "{bad:?}: {}", transcript(&output));
    }
}
