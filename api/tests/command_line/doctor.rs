//! `stoker doctor` with real programs: every check passes on a sound installation, and fails with a remedy otherwise.

use std::path::{Path, PathBuf};
use std::process::Output;

use world::registry::{PASSWORD, SignIn, USER};
use world::{ManagerSpec, Peer, Registry};

use super::{stoker, transcript};

/// A folder with a configuration for the doctor.
struct Installation {
    folder: tempfile::TempDir,
    config: String,
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!("data_dir = \"{}\"\n", folder.path().join("data").display());
        Self { folder, config }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn registry(&mut self, registry: &Registry, more: &str) {
        let (host, plain) = (registry.host(), registry.is_plain_http());
        let section = format!("[registry.\"{host}\"]\nplain_http = {plain}\n{more}\n");
        self.config += &section;
    }

    fn examine(&self, more: &[&str]) -> Output {
        let file = self.file("stoker.toml", &self.config);
        let any = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let peers = ["--peer-listen", "127.0.0.1:0"];
        stoker(&["doctor", "--config"])
            .arg(file)
            .args(any.iter().filter(|_| !more.contains(&"--listen")))
            .args(peers.iter().filter(|_| !more.contains(&"--peer-listen")))
            .args(more)
            .output()
            .expect("run")
    }

    /// The same as JSON.
    fn findings(&self, more: &[&str]) -> Findings {
        let output = self.examine(&[more, &["--json"]].concat());
        let document = serde_json::from_slice(&output.stdout).expect("JSON");
        Findings {
            code: output.status.code(),
            document,
            text: transcript(&output),
        }
    }
}

fn credential(password: &str) -> String {
    format!("username = \"{USER}\"\npassword = \"{password}\"")
}

struct Findings {
    code: Option<i32>,
    document: serde_json::Value,
    text: String,
}

impl Findings {
    /// Checks that one check has this verdict, with these facts in its result or remedy.
    fn has(&self, verdict: &str, check: &str, facts: &[&str]) {
        let findings = self.document["findings"].as_array().expect("findings");
        let found = findings.iter().any(|finding| {
            let text = format!("{} {}", finding["found"], finding["to_do"]);
            let has_remedy = finding["to_do"].is_string();
            finding["verdict"] == verdict
                && finding["what"] == check
                && (verdict == "ok" || has_remedy)
                && facts.iter().all(|fact| text.contains(fact))
        });
        assert!(found, "no {verdict} `{check}` with {facts:?} in\n{}", self.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_passes_on_a_sound_installation() {
    let registry = Registry::with(SignIn::Basic, true).await;
    let mut installation = Installation::new();
    let ca = installation.file("ca.pem", registry.ca_pem().expect("an authority"));
    installation.registry(
        &registry,
        &format!("ca_file = \"{}\"\n{}", ca.display(), credential(PASSWORD)),
    );
    let manager = ManagerSpec::new().start().await;
    let seed = Peer::seed("seed-1", &manager).await;
    let (data_dir, token) = (manager.data_dir(), manager.admin_token_file());
    let admin = manager.admin_url();
    let findings = installation.findings(&[
        "--data-dir",
        path(&data_dir),
        "--listen",
        &manager.address(),
        "--admin",
        admin.trim_start_matches("http://"),
        "--peer-listen",
        manager.peer_url().trim_start_matches("https://"),
        "--manager",
        &manager.url(),
        "--token-file",
        path(&token),
    ]);
    assert_eq!(findings.code, Some(0), "{}", findings.text);
    let host = registry.host();
    findings.has("ok", "configuration", &["1 registries"]);
    findings.has("ok", "data folder", &[path(&data_dir)]);
    findings.has("ok", "keys", &[]);
    findings.has("ok", "database", &[]);
    findings.has("ok", "port", &["Stoker", &manager.address()]);
    findings.has("ok", "peer port", &["Stoker"]);
    findings.has("ok", "admin port", &["Stoker"]);
    findings.has("ok", &format!("registry {host}"), &[]);
    findings.has(
        "ok",
        &format!("certificate of {host}"),
        &["the registry's own authority"],
    );
    findings.has("ok", &format!("clock, compared with {host}"), &[]);
    findings.has("ok", &format!("sign-in to {host}"), &["credential"]);
    findings.has("ok", "trace collector", &[]);
    findings.has("ok", "manager", &[env!("CARGO_PKG_VERSION")]);
    findings.has("ok", "peers of cluster default", &["1 of 1"]);
    drop(seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_a_failure_with_a_remedy() {
    let (locked, unknown) = (Registry::basic().await, Registry::tls().await);
    let mut stopped = Registry::plain().await;
    stopped.stop();
    let mut installation = Installation::new();
    installation.registry(&locked, &credential("wr0ng-w0rd"));
    installation.registry(&unknown, &credential(PASSWORD));
    installation.registry(&stopped, "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    // Another program: it accepts connections and closes them.
    std::thread::spawn(move || taken.incoming().for_each(drop));
    let findings = installation.findings(&["--listen", &address, "--admin", "127.0.0.1:0"]);
    assert_eq!(findings.code, Some(1), "{}", findings.text);
    let locked = locked.host();
    findings.has("fail", &format!("sign-in to {locked}"), &["401", "password"]);
    let certificate = format!("certificate of {}", unknown.host());
    findings.has("fail", &certificate, &["ca_file"]);
    findings.has("fail", &format!("registry {}", stopped.host()), &[]);
    findings.has("fail", "port", &[&address, "--listen"]);
    findings.has("warn", &format!("registry {locked}"), &["plain_http"]);
    let all = findings.text;
    assert!(
        !all.contains("wr0ng") && !all.contains(PASSWORD),
        "a password was printed:\n{all}"
    );
    assert!(
        !all.contains(&format!("sign-in to {}", unknown.host())),
        "a password went to an untrusted server:\n{all}"
    );
    assert!(
        !installation.folder.path().join("data").exists(),
        "the doctor created a data folder"
    );
}

#[test]
fn every_fault_of_the_configuration_is_a_finding() {
    let mut installation = Installation::new();
    installation.config += "lissen = \"x\"\nauth = \"non\"\n";
    let output = installation.examine(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", transcript(&output));
    let lines = transcript(&output);
    let failures = lines.lines().filter(|line| line.starts_with("FAIL"));
    assert_eq!(failures.count(), 2, "{lines}");
    let findings = installation.findings(&[]);
    assert_eq!(
        (&findings.document["ok"], findings.code),
        (&false.into(), Some(1))
    );
    findings.has("fail", "configuration", &["lissen", "`listen`"]);
    findings.has("fail", "configuration", &["auth: "]);
}

#[test]
fn an_unreachable_manager_and_harbor_are_failures() {
    let installation = Installation::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let unreachable = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let findings = installation.findings(&["--manager", &unreachable, "--harbor", &unreachable]);
    assert_eq!(findings.code, Some(1), "{}", findings.text);
    findings.has("fail", "manager", &[&unreachable, "--manager"]);
    findings.has("fail", "Harbor", &[&unreachable]);
    findings.has("warn", "provider in Harbor", &["127.0.0.1", "public_url"]);
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
