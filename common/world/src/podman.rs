//! A real podman with its own storage. It can send neither `ns` nor custom headers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::program::{run, text};
use crate::{Registry, files};

const PULL_LIMIT: Duration = Duration::from_secs(120);

pub struct Podman {
    dir: TempDir,
}

impl Podman {
    pub fn new() -> Self {
        let dir = files::temporary("podman");
        let anything = "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}";
        files::write(&dir.path().join("policy.json"), anything);
        Self { dir }
    }

    /// Pulls from `registry` go to `front` and nowhere else.
    pub fn mirror_only(&self, registry: &Registry, front_url: &str) {
        let (registry, front) = (
            registry.host(),
            front_url.trim_start_matches("http://").to_owned(),
        );
        let settings = format!(
            "[[registry]]\nprefix = \"{registry}\"\nlocation = \"127.0.0.1:1\"\ninsecure = true\n\
             [[registry.mirror]]\nlocation = \"{front}/{path}\"\ninsecure = true\n",
            path = registry.replace(':', "__"),
        );
        files::write(&self.dir.path().join("registries.conf"), settings);
    }

    /// Pulls `127.0.0.1:PORT/repository:tag`; the digest of the manifest that it then has.
    pub async fn pull(&self, image: &str) -> Result<String, String> {
        let policy = self.dir.path().join("policy.json");
        let policy = policy.display().to_string();
        self.control(&["pull", "--quiet", "--signature-policy", &policy, image])
            .await?;
        let digest = self
            .control(&["image", "inspect", "--format", "{{.Digest}}", image])
            .await?;
        Ok(digest.trim().to_owned())
    }

    async fn control(&self, arguments: &[&str]) -> Result<String, String> {
        let output = run(command(self.dir.path(), arguments), PULL_LIMIT).await;
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("podman");
    command
        .env("CONTAINERS_REGISTRIES_CONF", dir.join("registries.conf"))
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .arg("--root")
        .arg(dir.join("root"))
        .arg("--runroot")
        .arg(dir.join("run"))
        .args(["--storage-driver", "vfs"])
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"])
        .args(arguments);
    command
}
