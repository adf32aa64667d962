//! Credential helpers: `docker-credential-NAME get` reads a server name from stdin and prints JSON.
//!
//! **Invariant:** a helper runs directly, never through a shell. It is killed after [`WAIT`] or [`OUTPUT`] bytes. No
//! error contains its output.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::credential::{Credential, Secret};
use crate::lookup_error::LookupError;

const WAIT: Duration = Duration::from_secs(15);
const OUTPUT: u64 = 64 * 1024;
/// The pause before a busy program is started again.
const BUSY: Duration = Duration::from_millis(20);
/// What every helper prints if it has no credential.
const UNKNOWN: &[u8] = b"credentials not found";

/// A credential helper program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialHelper {
    program: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    #[serde(default)]
    username: String,
    secret: Secret,
}

impl CredentialHelper {
    /// Takes `ecr-login` for `docker-credential-ecr-login` on the `PATH`, or an absolute path.
    pub fn named(name: &str) -> Result<Self, LookupError> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.starts_with('/') {
            return Ok(Self { program: name.into() });
        }
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(LookupError::BadHelper);
        }
        Ok(Self {
            program: format!("docker-credential-{name}").into(),
        })
    }

    /// Returns the helper's credential for a server; anonymous if it has none.
    pub(crate) async fn ask(&self, server: &str) -> Result<Credential, LookupError> {
        self.ask_within(server, WAIT).await
    }

    async fn ask_within(&self, server: &str, wait: Duration) -> Result<Credential, LookupError> {
        let ran = timeout(wait, self.run(server)).await;
        let (succeeded, output) = ran.map_err(|_| self.timed_out(wait))??;
        if !succeeded {
            let is_unknown = output.windows(UNKNOWN.len()).any(|window| window == UNKNOWN);
            return if is_unknown {
                Ok(Credential::Anonymous)
            } else {
                Err(self.failed("it exited with an error; run it by hand to see which".to_owned()))
            };
        }
        let answer: HelperOutput = serde_json::from_slice(&output)
            .map_err(|_| self.failed("its output is not JSON with Username and Secret".to_owned()))?;
        if answer.secret.expose().is_empty() {
            return Ok(Credential::Anonymous);
        }
        Ok(Credential::from_login(&answer.username, answer.secret))
    }

    /// Returns whether it succeeded, and its output. Killed if dropped before its end.
    async fn run(&self, server: &str) -> Result<(bool, Vec<u8>), LookupError> {
        let io = |cause: std::io::Error| self.failed(cause.to_string());
        let started = self.start().await;
        let mut child = started.map_err(|cause| self.failed(format!("cannot run it: {cause}")))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let writing = async {
            if let Some(mut input) = input {
                // A helper that does not read its input may still answer.
                let _ = input.write_all(format!("{server}\n").as_bytes()).await;
            }
        };
        let ((), read) = tokio::join!(writing, read_bounded(output));
        let output = read.map_err(io)?;
        if output.len() as u64 > OUTPUT {
            return Err(self.failed(format!("it printed more than {OUTPUT} bytes")));
        }
        let status = child.wait().await.map_err(io)?;
        Ok((status.success(), output))
    }

    /// Starts the program. One that is being replaced is busy for a moment; the caller's time limit ends the wait.
    async fn start(&self) -> std::io::Result<Child> {
        loop {
            let started = Command::new(&self.program)
                .arg("get")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn();
            match started {
                Err(cause) if cause.kind() == std::io::ErrorKind::ExecutableFileBusy => sleep(BUSY).await,
                started => return started,
            }
        }
    }

    fn timed_out(&self, limit: Duration) -> LookupError {
        LookupError::HelperTimeout {
            program: self.program.clone(),
            limit_s: limit.as_secs(),
        }
    }

    fn failed(&self, cause: String) -> LookupError {
        LookupError::Helper {
            program: self.program.clone(),
            cause,
        }
    }
}

/// Reads at most one byte more than the limit, to detect that there is more.
async fn read_bounded(output: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        output.take(OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "helper_tests.rs"]
mod tests;
