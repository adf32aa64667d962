//! Credentials in docker's `config.json` or with a helper program, looked up when a request needs them: credentials
//! from helpers expire after hours, and files change.
//!
//! **Invariant:** a looked-up credential is used for at most [`FRESH`]. If the registry refuses it, it is looked up
//! again; if the registry refuses the result too, or the result is the same, no refusal runs the helper for [`STANDS`].
//! Each lookup is for one repository: a file may hold one credential per namespace.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::credential::{Credential, CredentialLookup, KeptCredential};
use crate::docker_config::{DockerConfig, KeyedRegistry, Source, server_name};
use crate::helper::CredentialHelper;
use crate::lookup_error::LookupError;
use crate::{RegistryName, Repository, Scheme};

const FRESH: Duration = Duration::from_secs(300);
/// How long the refusal of a credential counts that was looked up again. A registry that always refuses does not make
/// every request run a helper.
const STANDS: Duration = Duration::from_secs(5);
/// How long a failure of a helper is repeated without running it.
const FAILED: Duration = Duration::from_secs(3);
/// How long to wait for a lookup that another request has started.
const TURN: Duration = Duration::from_secs(30);

/// Looks up the credential of one registry in one place.
struct Lookup {
    place: CredentialPlace,
    registry: RegistryName,
    /// Held during a lookup: one at a time.
    found: Mutex<FoundCredentials>,
}

/// Lookups and their times. Holds no more answers than the file has keys for the registry.
#[derive(Default)]
struct FoundCredentials {
    file: Option<(Arc<DockerConfig>, Instant)>,
    answers: HashMap<(CredentialHelper, String), HelperAnswer>,
}

/// What a helper answered.
struct HelperAnswer {
    result: Result<Credential, LookupError>,
    since: Instant,
    standing: Standing,
}

/// What the registry says about a helper's credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    NotRefused,
    /// The helper runs again.
    Refused,
    /// Refused although it was looked up again.
    RefusedSince(Instant),
}

#[derive(Debug)]
enum CredentialPlace {
    DockerConfig(PathBuf, Scheme),
    Helper(CredentialHelper),
}

impl KeptCredential {
    /// In a file as `docker login` writes it, or with the helper that this file names.
    pub fn in_docker_config(path: &Path, registry: RegistryName, scheme: Scheme) -> Self {
        Self::new(Lookup::at(
            CredentialPlace::DockerConfig(path.to_owned(), scheme),
            registry,
        ))
    }

    pub fn by_helper(helper: CredentialHelper, registry: RegistryName) -> Self {
        Self::new(Lookup::at(CredentialPlace::Helper(helper), registry))
    }
}

impl Lookup {
    fn at(place: CredentialPlace, registry: RegistryName) -> Self {
        Self {
            place,
            registry,
            found: Mutex::default(),
        }
    }

    async fn credential(
        &self,
        refused: Option<&Credential>,
        repository: Option<&Repository>,
    ) -> Result<Credential, LookupError> {
        let mut found = timeout(TURN, self.found.lock())
            .await
            .map_err(|_| LookupError::TooLong)?;
        if let Some(refused) = refused {
            found.file = None;
            found.refuse(refused);
        }
        let sources = match &self.place {
            CredentialPlace::Helper(helper) => vec![Source::Helper {
                helper: helper.clone(),
                server: server_name(&self.registry).to_owned(),
            }],
            CredentialPlace::DockerConfig(path, scheme) => {
                let registry = KeyedRegistry::new(&self.registry, *scheme);
                found.file_at(path)?.sources(path, &registry, repository)?
            }
        };
        found.first_of(sources).await
    }
}

impl CredentialLookup for Lookup {
    fn name(&self) -> String {
        format!("{:?} for {}", self.place, self.registry)
    }

    fn check(&self) -> Result<(), LookupError> {
        match &self.place {
            CredentialPlace::DockerConfig(path, scheme) => {
                let registry = KeyedRegistry::new(&self.registry, *scheme);
                DockerConfig::read(path)?.check(path, &registry)
            }
            CredentialPlace::Helper(_) => Ok(()),
        }
    }

    fn look_up<'all>(
        &'all self,
        refused: Option<&'all Credential>,
        repository: Option<&'all Repository>,
    ) -> BoxFuture<'all, Result<Credential, LookupError>> {
        Box::pin(self.credential(refused, repository))
    }

    fn is_refused<'all>(&'all self, credential: &'all Credential) -> BoxFuture<'all, ()> {
        Box::pin(async move {
            // A lookup that takes longer belongs to another request, which will find out for itself.
            if let Ok(mut found) = timeout(TURN, self.found.lock()).await {
                found.counts(credential);
            }
        })
    }
}

impl HelperAnswer {
    fn new(result: Result<Credential, LookupError>, standing: Standing) -> Self {
        Self {
            result,
            since: Instant::now(),
            standing,
        }
    }

    fn is(&self, credential: &Credential) -> bool {
        self.result.as_ref() == Ok(credential)
    }

    fn is_usable(&self) -> bool {
        let limit = if self.result.is_ok() { FRESH } else { FAILED };
        self.since.elapsed() < limit && self.standing != Standing::Refused
    }
}

impl Standing {
    fn after_refusal(self) -> Self {
        match self {
            Self::RefusedSince(since) if since.elapsed() < STANDS => self,
            _ => Self::Refused,
        }
    }
}

impl FoundCredentials {
    fn file_at(&mut self, path: &Path) -> Result<Arc<DockerConfig>, LookupError> {
        if let Some((file, since)) = &self.file
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(DockerConfig::read(path)?);
        self.file = Some((Arc::clone(&file), Instant::now()));
        self.answers.retain(|_, answer| answer.since.elapsed() < FRESH);
        Ok(file)
    }

    /// Makes the helper run again that answered this credential, unless its refusal counts.
    fn refuse(&mut self, refused: &Credential) {
        for answer in self.answers.values_mut().filter(|answer| answer.is(refused)) {
            answer.standing = answer.standing.after_refusal();
        }
    }

    /// Makes the refusal of this credential count.
    fn counts(&mut self, refused: &Credential) {
        for answer in self.answers.values_mut().filter(|answer| answer.is(refused)) {
            answer.standing = Standing::RefusedSince(Instant::now());
        }
    }

    /// Returns the credential of the first source that has one. A failing helper is an error only if no other source
    /// has one: files may name helpers that are not installed here.
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
        let known = self.answers.get(&key);
        if let Some(known) = known.filter(|known| known.is_usable()) {
            return known.result.clone();
        }
        let result = helper.ask(server).await;
        let is_same =
            known.is_some_and(|known| known.standing == Standing::Refused && known.result == result);
        let standing = if is_same {
            Standing::RefusedSince(Instant::now())
        } else {
            Standing::NotRefused
        };
        self.answers
            .insert(key, HelperAnswer::new(result.clone(), standing));
        result
    }

    /// Remembers helpers that failed while another source succeeded, so that not every request runs them again.
    fn leave_alone(&mut self, failed: Vec<(CredentialHelper, String, LookupError)>) {
        for (helper, server, fault) in failed {
            tracing::warn!(stoker.side = "caller", %fault, "credential helper failed, using the file's entry");
            let nothing = HelperAnswer::new(Ok(Credential::Anonymous), Standing::NotRefused);
            self.answers.insert((helper, server), nothing);
        }
    }
}

#[cfg(test)]
#[path = "credential_lookup_tests.rs"]
mod tests;
