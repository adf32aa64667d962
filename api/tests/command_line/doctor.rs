//! `stoker doctor` on real parts: what is well is said to be, and what is not fails with what to do.

use std::path::{Path, PathBuf};
use std::process::Output;

use world::registry::{PASSWORD, SignIn, USER};
use world::{ManagerSpec, Peer, Registry};

use super::{stoker, told};

/// A folder with a configuration, and what the doctor is asked with it.
struct Patient {
    folder: tempfile::TempDir,
    config: String,
}

impl Patient {
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

    fn examined(&self, more: &[&str]) -> Output {
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
}

fn credential(password: &str) -> String {
    format!("username = \"{USER}\"\npassword = \"{password}\"")
}

/// A line that begins so and goes on with all of this.
fn has(output: &Output, begin: &str, words: &[&str]) {
    let all = told(output);
    let found = all
        .lines()
        .any(|line| line.starts_with(begin) && words.iter().all(|word| line.contains(word)));
    assert!(found, "no line `{begin}…{words:?}` in\n{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_is_said_to_be_well() {
    let registry = Registry::with(SignIn::Basic, true).await;
    let mut patient = Patient::new();
    let ca = patient.file("ca.pem", registry.ca_pem().expect("an authority"));
    patient.registry(
        &registry,
        &format!("ca_file = \"{}\"\n{}", ca.display(), credential(PASSWORD)),
    );
    let manager = ManagerSpec::new().start().await;
    let seed = Peer::seed("seed-1", &manager).await;
    let (data_dir, token) = (manager.data_dir(), manager.admin_token_file());
    let admin = manager.admin_url();
    let output = patient.examined(&[
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
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let host = registry.host();
    has(&output, "ok    configuration: ", &["1 registries"]);
    has(&output, "ok    data folder: ", &["can be written"]);
    has(&output, "ok    keys: ", &["readable by their owner alone"]);
    has(&output, "ok    database: ", &["written and read back"]);
    has(&output, "ok    port: ", &["a Stoker answers"]);
    has(&output, "ok    peer port: ", &["a Stoker answers"]);
    has(&output, "ok    admin port: ", &["a Stoker answers"]);
    has(&output, &format!("ok    registry {host}: "), &["answers"]);
    has(
        &output,
        &format!("ok    certificate of {host}: "),
        &["issued by", "the registry's own authority"],
    );
    has(&output, &format!("ok    clock beside {host}: "), &[]);
    has(&output, &format!("ok    sign-in to {host}: "), &["is taken"]);
    has(&output, "ok    trace collector: ", &["none is set"]);
    has(&output, "ok    manager: version ", &[]);
    has(&output, "ok    peers of cluster default: ", &["1 of 1 seeds"]);
    drop(seed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_well_fails_with_what_to_do() {
    let (locked, unknown) = (Registry::basic().await, Registry::tls().await);
    let mut gone = Registry::plain().await;
    gone.stop();
    let mut patient = Patient::new();
    patient.registry(&locked, &credential("wr0ng-w0rd"));
    patient.registry(&unknown, &credential(PASSWORD));
    patient.registry(&gone, "");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    // Another program: it takes connections and says nothing that we know.
    std::thread::spawn(move || taken.incoming().for_each(drop));
    let output = patient.examined(&["--listen", &address, "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let sign_in = format!("FAIL  sign-in to {}: ", locked.host());
    has(
        &output,
        &sign_in,
        &["is refused (401", "-> check username and password"],
    );
    let certificate = format!("FAIL  certificate of {}: ", unknown.host());
    has(&output, &certificate, &["not trusted", "-> set ca_file"]);
    let registry = format!("FAIL  registry {}: ", gone.host());
    has(
        &output,
        &registry,
        &["cannot be reached", "-> check its name and port"],
    );
    has(&output, "FAIL  port: ", &["another program listens", "--listen"]);
    has(&output, "warn  registry ", &["plain HTTP"]);
    let all = told(&output);
    assert!(
        !all.contains("wr0ng") && !all.contains(PASSWORD),
        "a password was printed:\n{all}"
    );
    assert!(
        !all.contains(&format!("sign-in to {}", unknown.host())),
        "a password went to a server that nobody knows:\n{all}"
    );
    assert!(
        !patient.folder.path().join("data").exists(),
        "the doctor made a data folder"
    );
}

#[test]
fn every_fault_of_a_configuration_is_told_and_programs_can_read_it() {
    let mut patient = Patient::new();
    patient.config += "lissen = \"x\"\nauth = \"non\"\n";
    let output = patient.examined(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    has(
        &output,
        "FAIL  configuration: ",
        &["lissen", "did you mean `listen`?", "->"],
    );
    has(&output, "FAIL  configuration: ", &["auth: must be"]);
    let output = patient.examined(&["--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&read["ok"], output.status.code()), (&false.into(), Some(1)));
    let findings = read["findings"].as_array().expect("findings");
    assert!(
        findings.iter().any(|finding| finding["verdict"] == "fail"),
        "{read}"
    );
}

#[test]
fn a_manager_that_is_away_and_a_harbor_that_is_none_are_told() {
    let patient = Patient::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let away = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let output = patient.examined(&["--manager", &away, "--harbor", &away]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    has(&output, "FAIL  manager: ", &["no manager answers", "->"]);
    has(&output, "FAIL  Harbor: ", &["does not answer", "->"]);
    has(
        &output,
        "warn  Harbor's way to us: ",
        &["127.0.0.1", "public_url"],
    );
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
