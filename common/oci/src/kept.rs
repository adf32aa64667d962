//! A credential that is kept elsewhere - in docker's `config.json`, or by a helper program - and looked up when a
//! request needs it: what helpers hand out ends after hours, and files are written anew.
//!
//! **Invariant:** what was looked up is used for [`FRESH`] at most, and not once more after the registry refused it. It is
//! looked up with the repository in hand: one file may hold a credential for each namespace.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::docker_config::{DockerConfig, Source, server_name};
use crate::{Credential, CredentialHelper, RegistryName, Repository};

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
    found: Mutex<Found>,
}

/// What was looked up, and when. No more answers than the file has keys for the registry.
#[derive(Default)]
struct Found {
    file: Option<(Arc<DockerConfig>, Instant)>,
    answers: HashMap<(CredentialHelper, String), (Credential, Instant)>,
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
        let found = Mutex::default();
        Self(Arc::new(Inner {
            place,
            registry,
            found,
        }))
    }

    /// Can the file be read? Helpers are not run for this.
    pub fn check(&self) -> Result<(), LookupError> {
        match &self.0.place {
            Place::DockerConfig(path) => DockerConfig::read(path)?.check(path, &self.0.registry),
            Place::Helper(_) => Ok(()),
        }
    }

    /// What is kept for this repository now. Without one: what is kept for every repository of the registry.
    pub async fn of(&self, repository: Option<&Repository>) -> Result<Credential, LookupError> {
        self.other_than(None, repository).await
    }

    /// The same, looked up anew if the last answer was this refused one.
    pub(crate) async fn other_than(
        &self,
        refused: Option<&Credential>,
        repository: Option<&Repository>,
    ) -> Result<Credential, LookupError> {
        let mut found = timeout(TURN, self.0.found.lock())
            .await
            .map_err(|_| LookupError::TooLong)?;
        if let Some(refused) = refused {
            found.file = None;
            found.answers.retain(|_, (answer, _)| answer != refused);
        }
        let sources = match &self.0.place {
            Place::Helper(helper) => vec![Source::Helper {
                helper: helper.clone(),
                server: server_name(&self.0.registry).to_owned(),
            }],
            Place::DockerConfig(path) => found.file_at(path)?.sources(path, &self.0.registry, repository)?,
        };
        found.first_of(sources).await
    }
}

impl Found {
    fn file_at(&mut self, path: &Path) -> Result<Arc<DockerConfig>, LookupError> {
        if let Some((file, since)) = &self.file
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(DockerConfig::read(path)?);
        self.file = Some((Arc::clone(&file), Instant::now()));
        self.answers.retain(|_, (_, since)| since.elapsed() < FRESH);
        Ok(file)
    }

    /// The credential of the first source that has one. A helper that fails is an error only where no other source has
    /// one: files name helpers that are installed elsewhere.
    async fn first_of(&mut self, sources: Vec<Source>) -> Result<Credential, LookupError> {
        let mut failed = Vec::new();
        for source in sources {
            let answer = match source {
                Source::Entry(credential) => credential,
                Source::Helper { helper, server } => match self.ask(&helper, &server).await {
                    Ok(answer) => answer,
                    Err(fault) => {
                        failed.push((helper, server, fault));
                        continue;
                    }
                },
            };
            if !answer.is_anonymous() {
                self.leave_alone(failed);
                return Ok(answer);
            }
        }
        let fault = failed.into_iter().next();
        fault.map_or(Ok(Credential::Anonymous), |(_, _, fault)| Err(fault))
    }

    async fn ask(&mut self, helper: &CredentialHelper, server: &str) -> Result<Credential, LookupError> {
        let key = (helper.clone(), server.to_owned());
        if let Some((answer, since)) = self.answers.get(&key)
            && since.elapsed() < FRESH
        {
            return Ok(answer.clone());
        }
        let answer = helper.ask(server).await?;
        self.answers.insert(key, (answer.clone(), Instant::now()));
        Ok(answer)
    }

    /// Helpers that failed where another source did are not run again for each request.
    fn leave_alone(&mut self, failed: Vec<(CredentialHelper, String, LookupError)>) {
        for (helper, server, fault) in failed {
            tracing::warn!(stoker.side = "caller", %fault, "a credential helper failed; the file's own entry is used");
            let nothing = (Credential::Anonymous, Instant::now());
            self.answers.insert((helper, server), nothing);
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

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
