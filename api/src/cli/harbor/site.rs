//! The Harbor that a command works on: its address, the user, and the names of what Stoker has there.

use std::path::{Path, PathBuf};

use clap::Args;
use process::http::ClientOptions;
use serde::Deserialize;
use wire::SecretText;

use super::super::stop::Stop;
use super::generation::Version;
use super::their_api::{HarborError, TheirApi};

#[derive(Debug, Args)]
pub(super) struct HarborFlags {
    /// URL of Harbor.
    #[arg(long, env = "STOKER_HARBOR", value_name = "URL")]
    pub(super) harbor: String,
    /// Harbor user that may administer distribution: an administrator or a robot account.
    #[arg(long, env = "STOKER_HARBOR_USER", default_value = "admin")]
    user: String,
    /// File with that user's password. [default: the password in `STOKER_HARBOR_PASSWORD`]
    #[arg(long, env = "STOKER_HARBOR_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// PEM file with more certificates to trust for Harbor: its CA, or its own.
    #[arg(long, env = "STOKER_HARBOR_CA_FILE", value_name = "FILE")]
    harbor_ca_file: Option<PathBuf>,
    /// Name of the instance in Harbor.
    #[arg(long, default_value = "stoker", value_parser = name_in_harbor)]
    pub(super) name: String,
}

#[derive(Deserialize)]
struct SystemInfo {
    #[serde(default)]
    harbor_version: String,
}

impl HarborFlags {
    pub(super) fn api(&self) -> Result<TheirApi, Stop> {
        let ca = self.harbor_ca_file.as_ref();
        let trust = ClientOptions {
            ca_pem: ca.map(|file| read(file, "--harbor-ca-file")).transpose()?,
            ..ClientOptions::default()
        };
        TheirApi::new(&self.harbor, self.user.clone(), self.password()?, &trust).map_err(Stop::usage)
    }

    /// `STOKER_HARBOR_PASSWORD` has no flag: every user could read a flag in the list of processes.
    #[expect(
        clippy::disallowed_methods,
        reason = "read once, by the command line, which clap cannot do without a flag"
    )]
    fn password(&self) -> Result<SecretText, Stop> {
        let text = match &self.password_file {
            Some(file) => read(file, "--password-file")?,
            None => std::env::var("STOKER_HARBOR_PASSWORD").unwrap_or_default(),
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Stop::usage(
                "no password for Harbor: set STOKER_HARBOR_PASSWORD or give --password-file",
            ));
        }
        Ok(SecretText::new(text))
    }

    /// Returns the host of Harbor's URL.
    pub(super) fn host(&self) -> String {
        let url = url::Url::parse(&self.harbor).ok();
        let host = url.as_ref().and_then(url::Url::host_str);
        host.unwrap_or("harbor").to_owned()
    }
}

pub(super) async fn version(harbor: &TheirApi) -> Result<Version, Stop> {
    let info: SystemInfo = harbor.get("/systeminfo").await.map_err(stop_of)?;
    Version::parse(&info.harbor_version).map_err(Stop::failed)
}

pub(super) fn stop_of(error: HarborError) -> Stop {
    match error {
        HarborError::Unreachable { .. } => Stop::no_response(error),
        other => Stop::failed(other),
    }
}

/// Reads a file of any encoding: a bundle of certificates may have comments.
fn read(file: &Path, flag: &str) -> Result<String, Stop> {
    let bytes = std::fs::read(file);
    let bytes =
        bytes.map_err(|error| Stop::usage(format!("{flag} {} cannot be read: {error}", file.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses a name of an instance or a policy. Harbor answers another one with 500 and no reason.
pub(super) fn name_in_harbor(text: &str) -> Result<String, &'static str> {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric());
    if text.split(['.', '_', '-']).all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("Harbor takes letters and digits, with single dots, hyphens or underscores between them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_harbor_refuses_is_refused_before() {
        for fine in ["stoker", "Stoker-2", "a.b_c-d"] {
            assert!(name_in_harbor(fine).is_ok(), "{fine}");
        }
        for bad in ["", "-a", "a--b", "a b", "a/b", "ä"] {
            assert!(name_in_harbor(bad).is_err(), "{bad}");
        }
    }
}
