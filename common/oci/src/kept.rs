//! A credential that is kept elsewhere - in docker's `config.json`, or by a helper program - and looked up when a
//! request needs it: what helpers hand out ends after hours, and files are written anew.
//!
//! **Invariant:** what was looked up is used for [`FRESH`] at most, and not once more after the registry refused it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::docker_config::{Found, find, server_name};
use crate::{Credential, CredentialHelper, RegistryName};

const FRESH: Duration = Duration::from_secs(300);
/// For somebody else's lookup, which has limits of its own.
const TURN: Duration = Duration::from_secs(30);

/// Where a registry's credential is kept. A clone is the same one.
#[derive(Clone)]
pub struct KeptCredential(Arc<Inner>);

struct Inner {
    place: Place,
    registry: RegistryName,
    /// Held while it is looked up: one lookup at a time.
    last: Mutex<Option<(Credential, Instant)>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    DockerConfig(PathBuf),
    Helper(CredentialHelper),
}

/// Why a kept credential cannot be had. Never repeats what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("{} cannot be read: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{} cannot be used: {what}", .path.display())]
    BadFile { path: PathBuf, what: &'static str },
    #[error(
        "a credential helper is named by what follows docker-credential-, or by a path that begins with /"
    )]
    BadHelper,
    #[error("the credential helper {} failed: {cause}", .program.display())]
    Helper { program: PathBuf, cause: String },
    #[error("somebody else's lookup of this credential does not end")]
    TooLong,
}

impl KeptCredential {
    /// In a file as `docker login` writes it, or with the helper that this file names.
    pub fn in_docker_config(path: &Path, registry: RegistryName) -> Self {
        Self::at(Place::DockerConfig(path.to_owned()), registry)
    }

    pub fn by_helper(helper: CredentialHelper, registry: RegistryName) -> Self {
        Self::at(Place::Helper(helper), registry)
    }

    fn at(place: Place, registry: RegistryName) -> Self {
        let last = Mutex::default();
        Self(Arc::new(Inner {
            place,
            registry,
            last,
        }))
    }

    /// Can the file be read? Helpers are not run for this.
    pub fn check(&self) -> Result<(), LookupError> {
        match &self.0.place {
            Place::DockerConfig(path) => find(path, &self.0.registry).map(|_| ()),
            Place::Helper(_) => Ok(()),
        }
    }

    /// What is kept now.
    pub async fn current(&self) -> Result<Credential, LookupError> {
        self.other_than(None).await
    }

    /// What is kept now, looked up anew if the last answer was this refused one.
    pub(crate) async fn other_than(&self, refused: Option<&Credential>) -> Result<Credential, LookupError> {
        let mut last = timeout(TURN, self.0.last.lock())
            .await
            .map_err(|_| LookupError::TooLong)?;
        if let Some((credential, since)) = last.as_ref()
            && since.elapsed() < FRESH
            && Some(credential) != refused
        {
            return Ok(credential.clone());
        }
        *last = None;
        let found = self.look_up().await?;
        *last = Some((found.clone(), Instant::now()));
        Ok(found)
    }

    async fn look_up(&self) -> Result<Credential, LookupError> {
        let server = server_name(&self.0.registry);
        match &self.0.place {
            Place::Helper(helper) => helper.ask(server).await,
            Place::DockerConfig(path) => match find(path, &self.0.registry)? {
                Found::Credential(credential) => Ok(credential),
                Found::Helper(helper) => helper.ask(server).await,
            },
        }
    }
}

impl PartialEq for KeptCredential {
    fn eq(&self, other: &Self) -> bool {
        self.0.place == other.0.place && self.0.registry == other.0.registry
    }
}

impl Eq for KeptCredential {}

impl fmt::Debug for KeptCredential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeptCredential({:?})", self.0.place)
    }
}
