//! Reads the manifests of one repository with the first accepted credential: the request's own, else the
//! configured one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use oci::manifest::{BYTES_LIMIT, Descriptor};
use oci::referrers::Referrers;
use oci::{
    Credential, Digest, FetchedManifest, Location, ManifestHead, Registry, RegistryError, RegistryName,
    Repository, TagOrDigest,
};

use super::trouble::Trouble;
use crate::engine::credentials;
use crate::engine::preheater::Inner;

/// How long one call waits where the registry refuses by count. The work item is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A credential and the name that peers fetch it by.
type NamedCredential = (Option<String>, Credential);

pub(crate) struct Reader {
    registry: Registry,
    repository: Repository,
    /// In the order of use; never empty.
    credentials: Vec<NamedCredential>,
    /// The index of the credential in use; earlier ones were refused.
    chosen: AtomicUsize,
}

impl Reader {
    /// `own` names the credential that came with the request.
    pub(crate) async fn new(inner: &Inner, location: &Location, own: Option<&str>) -> Result<Self, Trouble> {
        Ok(Self {
            registry: inner
                .registries
                .registry(&location.origin)?
                .with_patience(PATIENCE),
            repository: location.repository.clone(),
            credentials: credentials_for(inner, own, location).await?,
            chosen: AtomicUsize::new(0),
        })
    }

    /// Returns the names of registry and repository, for texts.
    pub(crate) fn names(&self) -> (&RegistryName, &Repository) {
        (self.registry.name(), &self.repository)
    }

    /// Returns what the reference means now, asked with the first credential.
    pub(crate) async fn head(&self, wanted: &TagOrDigest) -> Result<ManifestHead, RegistryError> {
        let credential = self.credentials.first().map(|(_, credential)| credential);
        let credential = credential.unwrap_or(&Credential::Anonymous);
        self.registry
            .manifest_head(&self.repository, wanted, credential)
            .await
    }

    /// The same, with the credential that the registry accepts.
    pub(crate) async fn signed_head(&self, wanted: &TagOrDigest) -> Result<ManifestHead, RegistryError> {
        self.asking(|credential| async move {
            self.registry
                .manifest_head(&self.repository, wanted, &credential)
                .await
        })
        .await
    }

    /// The same, anonymously. A response means that the reference is public.
    pub(crate) async fn public_head(&self, wanted: &TagOrDigest) -> Option<ManifestHead> {
        let head = self
            .registry
            .manifest_head(&self.repository, wanted, &Credential::Anonymous);
        head.await.ok()
    }

    pub(crate) async fn manifest(&self, wanted: &TagOrDigest) -> Result<FetchedManifest, Trouble> {
        Ok(self.asked_for(wanted).await?)
    }

    async fn asked_for(&self, wanted: &TagOrDigest) -> Result<FetchedManifest, RegistryError> {
        self.asking(|credential| async move {
            self.registry
                .manifest(&self.repository, wanted, &credential)
                .await
        })
        .await
    }

    /// Returns none if the registry does not have the manifest.
    pub(crate) async fn manifest_if_there(
        &self,
        wanted: &TagOrDigest,
    ) -> Result<Option<FetchedManifest>, RegistryError> {
        match self.asked_for(wanted).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns none if the registry does not support the referrers API.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Option<Referrers>, RegistryError> {
        self.asking(|credential| async move {
            self.registry
                .referrers(&self.repository, subject, &credential)
                .await
        })
        .await
    }

    /// Reads a small blob and verifies its digest.
    pub(crate) async fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Trouble> {
        let Descriptor {
            digest, size, data, ..
        } = descriptor;
        if let Some(data) = data {
            return Ok(data.to_vec());
        }
        let bad = |cause: String| Trouble::of_image(&format!("config {digest}"), cause);
        let limit = usize::try_from(*size).ok().filter(|size| *size <= BYTES_LIMIT);
        let limit = limit.ok_or_else(|| bad(format!("it has {size} bytes; the limit is {BYTES_LIMIT}")))?;
        let mut blob =
            self.asking(|credential| async move {
                self.registry.blob(&self.repository, digest, 0, &credential).await
            })
            .await?;
        let mut bytes = Vec::with_capacity(limit);
        while let Some(chunk) = blob.stream.next().await {
            let chunk = chunk?;
            if bytes.len() + chunk.len() > limit {
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        if digest.of_same_algorithm(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(bad("its bytes do not match its digest".to_owned()))
        }
    }

    /// Tries one credential after the other while they are refused.
    async fn asking<T, Answer>(&self, ask: impl Fn(Credential) -> Answer) -> Result<T, RegistryError>
    where
        Answer: Future<Output = Result<T, RegistryError>>,
    {
        let mut at = self.chosen.load(Ordering::Relaxed);
        loop {
            let credential = self.credentials.get(at).map(|(_, credential)| credential);
            match ask(credential.cloned().unwrap_or(Credential::Anonymous)).await {
                Err(error) if is_refusal(&error) && at + 1 < self.credentials.len() => {
                    tracing::debug!(%error, "request's credential refused, trying the configured one");
                    at += 1;
                    self.chosen.fetch_max(at, Ordering::Relaxed);
                }
                other => return other,
            }
        }
    }

    /// The name of the credential that peers use for the blobs.
    pub(crate) fn credential_name(&self) -> Option<String> {
        let chosen = self.credentials.get(self.chosen.load(Ordering::Relaxed));
        chosen.and_then(|(name, _)| name.clone())
    }

    /// Returns whether no credential is used.
    pub(crate) fn is_anonymous(&self) -> bool {
        let chosen = self.credentials.get(self.chosen.load(Ordering::Relaxed));
        chosen.is_none_or(|(_, credential)| credential.is_anonymous())
    }

    /// Returns whether the registry serves this manifest, named by `wanted`, to an anonymous caller.
    pub(crate) async fn is_public(&self, wanted: &TagOrDigest, root: &Digest) -> bool {
        if self.is_anonymous() {
            return true;
        }
        let head = self.public_head(wanted).await;
        head.is_some_and(|head| head.digest == *root)
    }
}

async fn credentials_for(
    inner: &Inner,
    own: Option<&str>,
    location: &Location,
) -> Result<Vec<NamedCredential>, Trouble> {
    let mut all = Vec::new();
    if let Some(name) = own
        && let Some(own) = credentials::of_preheat(inner, name).await?
    {
        all.push((Some(name.to_owned()), own));
    }
    if let Some(configured) = inner.registries.configured_credential(location) {
        let name = credentials::configured_name(location.registry(), &location.repository, &configured);
        all.push((Some(name), configured));
    }
    if all.is_empty() {
        all.push((None, Credential::Anonymous));
    }
    Ok(all)
}

fn is_refusal(error: &RegistryError) -> bool {
    matches!(error.status(), Some(401 | 403)) || matches!(error, RegistryError::CredentialEnded { .. })
}
