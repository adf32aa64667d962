//! Pushes images with skopeo.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{PASSWORD, Registry, USER};
use crate::image::{Format, Kind};
use crate::program::run_well;
use crate::{Image, files};

const LIMIT: Duration = Duration::from_secs(300);

impl Registry {
    /// Pushes all platforms of the image as `repository:tag`; what is stored has the digests of the image.
    pub async fn push(&self, image: &Image, repository: &str, tag: &str) {
        let mut command = Command::new("skopeo");
        // No policy file and no credentials of this machine's user take part.
        command.args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
        ]);
        if self.ca_pem().is_some() {
            command.arg("--dest-cert-dir").arg(self.certificates());
        } else {
            command.arg("--dest-tls-verify=false");
        }
        if self.asks_for_password {
            command.arg("--dest-creds").arg(format!("{USER}:{PASSWORD}"));
        } else {
            command.arg("--dest-no-creds");
        }
        let docker = image.format() == Format::Docker;
        let folder = docker.then(|| directory(image));
        let source = match &folder {
            Some(folder) => format!("dir:{}", folder.path().display()),
            None => format!("oci:{}:latest", image.dir().display()),
        };
        command.arg(source);
        command.arg(format!("docker://{}/{repository}:{tag}", self.host()));
        run_well(command, LIMIT).await;
    }
}

/// skopeo finds Docker's media types only in its own kind of folder, not in an OCI layout.
fn directory(image: &Image) -> TempDir {
    let folder = files::temporary("push");
    files::write(
        &folder.path().join("version"),
        "Directory Transport Version: 1.1\n",
    );
    for object in image.objects() {
        let hex = object.digest.trim_start_matches("sha256:");
        let name = match object.kind {
            _ if object == image.root() => "manifest.json".to_owned(),
            Kind::Index | Kind::Manifest => format!("{hex}.manifest.json"),
            Kind::Config | Kind::Layer => hex.to_owned(),
        };
        let link = std::fs::hard_link(image.path(&object.digest), folder.path().join(name));
        link.unwrap_or_else(|error| panic!("cannot link {}: {error}", object.digest));
    }
    folder
}
