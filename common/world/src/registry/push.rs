//! Pushes images with skopeo, as people do.

use std::process::Command;
use std::time::Duration;

use super::{PASSWORD, Registry, USER};
use crate::Image;
use crate::program::run_well;

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
        command.arg(format!("oci:{}:latest", image.dir().display()));
        command.arg(format!("docker://{}/{repository}:{tag}", self.host()));
        run_well(command, LIMIT).await;
    }
}
