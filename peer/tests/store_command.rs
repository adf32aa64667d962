//! `stoker-peer store …` as scripts use it.

use std::path::Path;
use std::process::{Command, Output};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn stoker_peer(arguments: &[&str], data_dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stoker-peer"))
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .output()
        .expect("run")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_use_is_64() {
    let folder = tempfile::tempdir().expect("a folder");
    for wrong in [
        &["store"][..],
        &["store", "remove"],
        &["store", "remove", "nginx:1.27"],
        &["store", "burn"],
        &["--nonsense"],
    ] {
        let output = stoker_peer(wrong, folder.path());
        assert_eq!(output.status.code(), Some(64), "{wrong:?}: {}", stderr(&output));
    }
}

#[test]
fn a_folder_without_a_store_is_1_and_not_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = stoker_peer(&["store", "list"], folder.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let path = folder.path().display().to_string();
    assert!(stderr(&output).contains(&path), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
}

#[test]
fn an_object_that_is_not_in_the_store_is_1() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(store::Store::open(&folder.path().join("store")).expect("a store"));
    let output = stoker_peer(&["store", "remove", DIGEST], folder.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(DIGEST), "{}", stderr(&output));
}

#[test]
fn a_store_in_use_by_a_silent_peer_is_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let _in_use = store::Store::open(&folder.path().join("store")).expect("a store");
    let admin = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = admin.local_addr().expect("an address").to_string();
    drop(admin);
    let output = stoker_peer(&["store", "list", "--admin", &address], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
