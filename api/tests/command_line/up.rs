//! `stoker up` with an empty data folder: it serves, writes the first token, and stops on SIGTERM.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{stoker, stoker_after, transcript};

/// The log message with the addresses.
const BUILT: &str = "manager and peer built";
const LIMIT: Duration = Duration::from_secs(60);

/// A running `stoker up`, killed when the test ends.
pub(super) struct Up {
    child: Child,
    pub(super) listen: String,
    pub(super) admin: String,
}

impl Up {
    pub(super) fn start(data_dir: &Path) -> Self {
        Self::start_after("", data_dir)
    }

    /// Started by a shell that runs `before` first.
    pub(super) fn start_after(before: &str, data_dir: &Path) -> Self {
        let any = "127.0.0.1:0";
        let arguments = [
            "up",
            "--listen",
            any,
            "--peer-listen",
            any,
            "--front",
            any,
            "--share",
            any,
            "--admin",
            any,
        ];
        let mut child = stoker_after(before, &arguments)
            .arg("--data-dir")
            .arg(data_dir)
            .env("STOKER_LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut log = BufReader::new(child.stderr.take().expect("a log"));
        let mut seen = String::new();
        let built = loop {
            let mut line = String::new();
            assert!(
                log.read_line(&mut line).expect("read") > 0,
                "the program ended early:\n{seen}"
            );
            if line.contains(BUILT) {
                break line;
            }
            seen.push_str(&line);
        };
        // A full pipe would block the program.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let fields: serde_json::Value = serde_json::from_str(&built).expect("JSON");
        let field = |name: &str| {
            let found = fields
                .get(name)
                .or_else(|| fields.get("fields").and_then(|fields| fields.get(name)));
            found
                .and_then(|value| value.as_str())
                .unwrap_or_else(|| panic!("{name} in {built}"))
                .to_owned()
        };
        Self {
            child,
            listen: field("listen.addr"),
            admin: field("admin.addr"),
        }
    }

    fn client(&self, data_dir: &Path, arguments: &[&str]) -> Command {
        let mut command = stoker(arguments);
        command.args(["--server", &format!("http://{}", self.listen)]);
        command.arg("--token-file").arg(data_dir.join("admin.token"));
        command
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// Stops it by SIGTERM, as systemd does.
    pub(super) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("ended")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what} did not happen within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn up_creates_its_files_keeps_its_token_and_stops_on_sigterm() {
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir);
    until("/healthz", || {
        get(&up.admin, "/healthz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });

    let token = data_dir.join("admin.token");
    for secret in [
        "admin.token",
        "token.key",
        "peer.key",
        "peer-ca.pem",
        "peer/membership.json",
        "peer/membership.key",
        "secrets.key",
    ] {
        let mode = std::fs::metadata(data_dir.join(secret))
            .expect(secret)
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let first = std::fs::read_to_string(&token).expect("a token");

    until("the peer's hello", || {
        let output = up.client(&data_dir, &["peers"]).output().expect("run");
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .any(|word| word == "connected")
    });
    let without = stoker(&["peers", "--server", &format!("http://{}", up.listen)])
        .output()
        .expect("run");
    assert_eq!(without.status.code(), Some(2), "{}", transcript(&without));
    assert!(
        transcript(&without).contains("admin.token"),
        "{}",
        transcript(&without)
    );

    assert_eq!(up.stop().code(), Some(0));
    let again = Up::start(&data_dir);
    assert_eq!(
        std::fs::read_to_string(&token).expect("a token"),
        first,
        "a second start created a second token"
    );
    assert_eq!(again.stop().code(), Some(0));
}

#[test]
fn a_token_is_created_printed_once_listed_and_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path());
    let create = [
        "token", "create", "--name", "ci", "--scope", "preheat", "--scope", "read",
    ];
    let create = up.client(folder.path(), &create).output().expect("run");
    assert_eq!(create.status.code(), Some(0), "{}", transcript(&create));
    let token = String::from_utf8(create.stdout).expect("text");
    assert_eq!(token.trim().split('.').count(), 3, "more than a token: {token}");

    let list = up
        .client(folder.path(), &["token", "list"])
        .output()
        .expect("run");
    let listed = String::from_utf8_lossy(&list.stdout).into_owned();
    let line = listed
        .lines()
        .find(|line| line.contains("preheat,read"))
        .expect("listed");
    assert!(!listed.contains(token.trim()), "the list shows the token");
    let id = line.split_whitespace().next().expect("an id");

    let with_it = |arguments: &[&str]| {
        let server = format!("http://{}", up.listen);
        stoker(arguments)
            .args(["--server", &server])
            .env("STOKER_TOKEN", token.trim())
            .output()
            .expect("run")
    };
    assert_eq!(with_it(&["preheats"]).status.code(), Some(0));
    let revoked = up
        .client(folder.path(), &["token", "revoke", id])
        .output()
        .expect("run");
    assert_eq!(revoked.status.code(), Some(0), "{}", transcript(&revoked));
    assert_eq!(with_it(&["preheats"]).status.code(), Some(2));
    let unknown = up
        .client(folder.path(), &["token", "revoke", "no-such-id"])
        .output()
        .expect("run");
    assert_ne!(unknown.status.code(), Some(0), "{}", transcript(&unknown));
}

#[test]
fn a_failed_preheat_is_1_and_names_the_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start(folder.path());
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let image = format!("http://{}/nobody/there:1", free.local_addr().expect("an address"));
    drop(free);
    let asked = up
        .client(folder.path(), &["preheat", &image])
        .output()
        .expect("run");
    assert_eq!(asked.status.code(), Some(0), "{}", transcript(&asked));
    let waited = up
        .client(folder.path(), &["preheat", "--wait", &image])
        .output()
        .expect("run");
    assert_eq!(waited.status.code(), Some(1), "{}", transcript(&waited));
    assert!(
        transcript(&waited).contains("nobody/there"),
        "{}",
        transcript(&waited)
    );
    let unreadable = up
        .client(folder.path(), &["preheat", "--wait", "NOT AN IMAGE"])
        .output()
        .expect("run");
    assert_eq!(unreadable.status.code(), Some(2), "{}", transcript(&unreadable));
}

#[tokio::test]
async fn the_admin_port_lists_the_store_of_the_peer_in_up() {
    process::install_tls_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().join("data");
    let up = Up::start(&data_dir);
    let place = peer::StorePlace {
        data_dir: data_dir.join("peer"),
        admin: up.admin.clone(),
    };
    let listed = peer::store_command::run(&place, peer::StoreCommand::List).await;
    assert_eq!(listed.expect("a list"), Vec::<String>::new());
    assert!(up.stop().success());
}
