//! Clients that read images without running them (skopeo, podman, crane, oras, regctl), with one folder of credentials,
//! and the OCI conformance suite.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::program::{run, text};
use crate::{files, tools};

const LIMIT: Duration = Duration::from_secs(120);
const MADE_BY: &str = "make test-clients";

/// A home folder of its own: nothing of this machine's user takes part.
pub struct RegistryClients {
    dir: TempDir,
}

impl RegistryClients {
    /// Without credentials.
    pub fn new() -> Self {
        let clients = Self {
            dir: files::temporary("clients"),
        };
        clients.store(&json!({}));
        clients
    }

    /// With this credential for `host`, as `docker login` and `podman login` store it.
    pub fn signed_in(host: &str, user: &str, password: &str) -> Self {
        let clients = Self::new();
        let auth = STANDARD.encode(format!("{user}:{password}"));
        clients.store(&json!({ host: { "auth": auth } }));
        clients
    }

    fn store(&self, auths: &serde_json::Value) {
        let text = json!({ "auths": auths }).to_string();
        let docker = self.path().join(".docker");
        std::fs::create_dir_all(&docker).expect("a folder");
        files::write(&docker.join("config.json"), &text);
        files::write(&self.auth_file(), &text);
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn auth_file(&self) -> PathBuf {
        self.path().join("auth.json")
    }

    /// Copies the image with skopeo into a folder of its own.
    pub async fn skopeo_copy(&self, image: &str) -> Result<String, String> {
        let target = files::temporary("copy");
        let mut command = Command::new("skopeo");
        command
            .args([
                "--insecure-policy",
                "copy",
                "--src-tls-verify=false",
                "--authfile",
            ])
            .arg(self.auth_file())
            .arg(format!("docker://{image}"))
            .arg(format!("dir:{}", target.path().display()));
        self.outcome(command).await
    }

    /// Pulls the image with podman into a storage of its own.
    pub async fn podman_pull(&self, image: &str) -> Result<String, String> {
        let (root, run) = (self.path().join("podman"), self.path().join("podman-run"));
        files::write(
            &self.path().join("policy.json"),
            "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}",
        );
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(root)
            .arg("--runroot")
            .arg(run)
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args([
                "--events-backend",
                "none",
                "pull",
                "--quiet",
                "--tls-verify=false",
            ])
            .arg("--signature-policy")
            .arg(self.path().join("policy.json"))
            .arg("--authfile")
            .arg(self.auth_file())
            .arg(image);
        self.outcome(command).await
    }

    /// Runs a program that `make test-clients` builds (crane, oras, regctl) and returns what it printed.
    pub async fn built(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(tools::built(program, MADE_BY));
        command.args(arguments);
        self.outcome(command).await
    }

    /// Runs the OCI conformance suite, read-only, and returns its report. Its exit code says nothing.
    pub async fn conformance(&self, settings: &[(&str, &str)]) -> String {
        let mut command = Command::new(tools::built("conformance", MADE_BY));
        command
            .envs(settings.iter().copied())
            .env("OCI_RESULTS_DIR", self.path().join("results"));
        self.settle(&mut command);
        text(&run(command, LIMIT).await.stdout)
    }

    async fn outcome(&self, mut command: Command) -> Result<String, String> {
        self.settle(&mut command);
        let output = run(command, LIMIT).await;
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    fn settle(&self, command: &mut Command) {
        command
            .env("HOME", self.path())
            .env("DOCKER_CONFIG", self.path().join(".docker"))
            .current_dir(self.path());
        for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            command.env_remove(proxy);
        }
    }
}

impl Default for RegistryClients {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the program of docker distribution 3.
pub(crate) fn distribution_3() -> PathBuf {
    tools::built("registry", MADE_BY)
}
