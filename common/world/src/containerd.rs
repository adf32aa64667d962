//! A real containerd with its own folders, socket and registry settings. Needs root.
//!
//! Images are pulled by `ctr`, which in containerd 1.6 speaks HTTP itself, by the same library as the daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::{run, run_well, text};
use crate::{Program, Registry, files};

const START_LIMIT: Duration = Duration::from_secs(30);
const PULL_LIMIT: Duration = Duration::from_secs(300);
const CONTROL_LIMIT: Duration = Duration::from_secs(60);

/// Plugins that pulls do not need; the daemon starts faster without them.
const LEFT_OUT: [&str; 9] = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
];

/// Pulls images, through a mirror or not.
pub struct Containerd {
    program: Program,
    dir: TempDir,
}

/// A successful pull.
#[derive(Debug)]
pub struct PullReport {
    pub took: Duration,
    /// What `ctr` printed.
    pub output: String,
}

/// Which parts of an image are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// This machine's platform, unpacked into a snapshot.
    Runnable,
    /// Every platform; nothing is unpacked.
    AllContent,
}

impl Containerd {
    pub async fn start() -> Self {
        let dir = files::temporary("containerd");
        let root = dir.path().display();
        files::make_dir(&dir.path().join("certs.d"));
        let config = dir.path().join("config.toml");
        files::write(
            &config,
            format!(
                "version = 2\nroot = \"{root}/root\"\nstate = \"{root}/state\"\ndisabled_plugins = {LEFT_OUT:?}\n\
                 [grpc]\n  address = \"{root}/containerd.sock\"\n"
            ),
        );
        let mut command = Command::new("containerd");
        command.arg("-c").arg(&config);
        let mut program = Program::start("containerd", command, &dir.path().join("log"), None);
        let probe = async || {
            run(control(dir.path(), &["version"]), CONTROL_LIMIT)
                .await
                .status
                .success()
        };
        program.wait_until(START_LIMIT, probe).await;
        Self { program, dir }
    }

    /// Pulls from `registry` go to `front` first, and to the registry for what the front does not serve.
    pub fn mirror(&self, registry: &Registry, front_url: &str) {
        let settings = format!(
            "server = \"{url}\"\n{trust}[host.\"{front_url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
            url = registry.url(),
            trust = self.trust(registry),
        );
        self.hosts_toml(&registry.host(), &settings);
    }

    /// Pulls from `registry` go to `front` and nowhere else.
    pub fn mirror_only(&self, registry: &Registry, front_url: &str) {
        let settings = format!(
            "server = \"{front_url}\"\n[host.\"{front_url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        self.hosts_toml(&registry.host(), &settings);
    }

    /// Pulls from `registry` go straight to it.
    pub fn direct(&self, registry: &Registry) {
        let settings = format!(
            "server = \"{url}\"\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n{trust}",
            url = registry.url(),
            trust = self.trust(registry),
        );
        self.hosts_toml(&registry.host(), &settings);
    }

    /// Writes these settings for images of `registry` (`127.0.0.1:5000`, `_default`).
    pub fn hosts_toml(&self, registry: &str, settings: &str) {
        let folder = self.dir.path().join("certs.d").join(registry);
        files::make_dir(&folder);
        files::write(&folder.join("hosts.toml"), settings);
    }

    fn trust(&self, registry: &Registry) -> String {
        let Some(pem) = registry.ca_pem() else {
            return String::new();
        };
        let path = self.dir.path().join(format!("{}.pem", registry.host()));
        files::write(&path, pem);
        format!("ca = \"{}\"\n", path.display())
    }

    /// Pulls and unpacks this machine's platform of `127.0.0.1:PORT/repository:tag` or `…@sha256:…`.
    pub async fn pull(&self, image: &str, credentials: Option<(&str, &str)>) -> Result<PullReport, String> {
        self.take(Extent::Runnable, image, credentials).await
    }

    /// Pulls every platform and unpacks nothing: several times quicker for large images, as the snapshotter that works
    /// everywhere copies the whole tree for each layer.
    pub async fn fetch(&self, image: &str, credentials: Option<(&str, &str)>) -> Result<PullReport, String> {
        self.take(Extent::AllContent, image, credentials).await
    }

    async fn take(
        &self,
        extent: Extent,
        image: &str,
        credentials: Option<(&str, &str)>,
    ) -> Result<PullReport, String> {
        let mut command = match extent {
            Extent::Runnable => control(self.dir.path(), &["images", "pull", "--snapshotter", "native"]),
            Extent::AllContent => control(self.dir.path(), &["content", "fetch", "--all-platforms"]),
        };
        command.arg("--hosts-dir").arg(self.dir.path().join("certs.d"));
        if let Some((user, password)) = credentials {
            command.arg("--user").arg(format!("{user}:{password}"));
        }
        command.arg(image);
        let began = Instant::now();
        let output = run(command, PULL_LIMIT).await;
        let report = PullReport {
            took: began.elapsed(),
            output: text(&output.stdout),
        };
        if output.status.success() {
            Ok(report)
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Removes an image with all its content and snapshots, so that the next pull fetches it.
    pub async fn remove(&self, image: &str) {
        run_well(
            control(self.dir.path(), &["images", "remove", "--sync", image]),
            CONTROL_LIMIT,
        )
        .await;
    }

    /// Removes all images.
    pub async fn remove_all(&self) {
        let images = run_well(
            control(self.dir.path(), &["images", "list", "--quiet"]),
            CONTROL_LIMIT,
        )
        .await;
        for image in images.lines() {
            self.remove(image).await;
        }
        let left = self.content().await;
        assert!(left.is_empty(), "containerd still holds {left:?}");
    }

    /// Returns the digests that it holds, each verified by containerd on arrival.
    pub async fn content(&self) -> Vec<String> {
        let listed = run_well(
            control(self.dir.path(), &["content", "list", "--quiet"]),
            CONTROL_LIMIT,
        )
        .await;
        listed.lines().map(str::to_owned).collect()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("containerd.sock")
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }
}

fn control(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("ctr");
    command
        .arg("--address")
        .arg(dir.join("containerd.sock"))
        .args(arguments);
    command
}
