//! The process on its machine: file modes, open files, probes under load, and SIGHUP.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::up::{Up, get, until};

fn is_served(address: &str, path: &str) -> bool {
    get(address, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The folder and all below it.
fn everything(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn open_to_others(folder: &Path) -> Vec<(PathBuf, u32)> {
    let found = everything(folder).into_iter();
    let found = found.map(|path| (path.clone(), mode(&path)));
    found.filter(|(_, mode)| mode & 0o077 != 0).collect()
}

#[test]
fn no_file_is_readable_for_other_users_also_after_an_older_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let serves = |up: &Up| until("/readyz", || is_served(&up.admin, "/readyz"));
    let up = Up::start_after("umask 022 &&", &data_dir);
    serves(&up);
    let names = ["stoker.db", "stoker.db-wal", "peer/store/index.redb"];
    for name in names {
        assert!(data_dir.join(name).exists(), "{name} does not exist");
    }
    assert_eq!(open_to_others(&data_dir), []);
    assert!(up.stop().success());

    let layer = data_dir.join("peer/store/sealed/layer-of-an-older-version");
    fs::write(&layer, b"private").expect("written");
    for path in everything(&data_dir) {
        let is_older = path.is_dir() || path.starts_with(data_dir.join("peer/store"));
        let is_database = path.display().to_string().contains("stoker.db");
        if is_older || is_database {
            let bits = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(&path, Permissions::from_mode(bits)).expect("opened up");
        }
    }
    assert!(!open_to_others(&data_dir).is_empty());
    let up = Up::start_after("umask 022 &&", &data_dir);
    serves(&up);
    assert_eq!(open_to_others(&data_dir), []);
    assert!(up.stop().success());
}

#[test]
fn sighup_does_not_end_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path());
    for _ in 0..3 {
        up.signal("HUP");
        until("/healthz", || is_served(&up.admin, "/healthz"));
    }
    assert_eq!(up.stop().code(), Some(0), "SIGHUP ended the process");
}

/// The name of this limit in `/proc/PID/limits`.
const OPEN_FILES: &str = "Max open files";

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start_after("ulimit -Sn 300 && ulimit -Hn 1000 &&", folder.path());
    let limits = fs::read_to_string(format!("/proc/{}/limits", up.pid())).expect("limits");
    let line = limits.lines().find(|line| line.starts_with(OPEN_FILES));
    let words: Vec<&str> = line.expect("a limit").split_whitespace().collect();
    assert_eq!(words[3..5], ["1000", "1000"], "{words:?}");
}

/// Whether the server has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    let patience = Some(Duration::from_millis(100));
    stream.set_read_timeout(patience).expect("a limit");
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn probes_are_answered_while_all_connections_are_taken() {
    const MORE_THAN_ALL: usize = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start_after("ulimit -n 256 &&", folder.path());
    until("/readyz", || is_served(&up.admin, "/readyz"));
    let connect = |_| TcpStream::connect(&up.listen).expect("a connection");
    let mut held: Vec<TcpStream> = (0..MORE_THAN_ALL).map(connect).collect();
    assert!(
        held.last_mut().is_some_and(is_closed),
        "the last connection was not refused"
    );
    assert!(
        held.first_mut().is_some_and(|first| !is_closed(first)),
        "the first connection was refused"
    );
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(is_served(&up.admin, path), "{path} is not answered");
    }
    let mut first = held.remove(0);
    write!(
        first,
        "GET /healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    first
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a limit");
    let mut answer = String::new();
    first.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    drop(held);
    until("/healthy", || is_served(&up.listen, "/healthy"));
}
