//! Reads the manifests of one repository with the credential that works: the request's own, else the configured
//! one.

use std::sync::atomic::{AtomicUsize, Ordering};

use oci::{Credential, FetchedManifest, Registry, RegistryError, Repository, TagOrDigest};

use super::trouble::Trouble;
use crate::credentials;
use crate::preheater::Inner;
use crate::rows::preheats;

/// A credential and the name that peers fetch it by.
type Named = (Option<String>, Credential);

/// Where the manifests of an image are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) registry: String,
    pub(crate) base_path: String,
    pub(crate) plain_http: bool,
    pub(crate) repository: String,
}

impl Place {
    pub(crate) fn of(preheat: &preheats::Model) -> Self {
        Self {
            registry: preheat.registry.clone(),
            base_path: preheat.base_path.clone(),
            plain_http: preheat.plain_http,
            repository: preheat.repository.clone(),
        }
    }
}

pub(crate) struct Reader {
    registry: Registry,
    repository: Repository,
    /// In the order in which they are tried; never empty.
    credentials: Vec<Named>,
    /// Those before it were refused.
    chosen: AtomicUsize,
}

impl Reader {
    /// `own` names the credential that came with the request.
    pub(crate) async fn new(inner: &Inner, place: &Place, own: Option<&str>) -> Result<Self, Trouble> {
        let bad_name = |cause: oci::BadName| Trouble::of_caller(cause.to_string());
        let name = oci::RegistryName::parse(&place.registry, place.plain_http).map_err(bad_name)?;
        Ok(Self {
            registry: inner
                .registries
                .registry(&name, &place.base_path, place.plain_http)?,
            repository: place.repository.parse().map_err(bad_name)?,
            credentials: credentials_for(inner, place.plain_http, own, &name).await?,
            chosen: AtomicUsize::new(0),
        })
    }

    /// What a reference means now, with the first credential there is.
    pub(crate) async fn head(&self, wanted: &TagOrDigest) -> Result<oci::ManifestHead, RegistryError> {
        let credential = self.credentials.first().map(|(_, credential)| credential);
        let credential = credential.unwrap_or(&Credential::Anonymous);
        self.registry
            .manifest_head(&self.repository, wanted, credential)
            .await
    }

    pub(crate) async fn manifest(&self, wanted: &TagOrDigest) -> Result<FetchedManifest, Trouble> {
        let mut at = self.chosen.load(Ordering::Relaxed);
        loop {
            let Some((_, credential)) = self.credentials.get(at) else {
                return Err(Trouble::of_caller("no credential is left to try".to_owned()));
            };
            match self.registry.manifest(&self.repository, wanted, credential).await {
                Err(error) if is_refusal(&error) && at + 1 < self.credentials.len() => {
                    tracing::debug!(%error, "the request's credential was refused; trying the configured one");
                    at += 1;
                    self.chosen.fetch_max(at, Ordering::Relaxed);
                }
                other => return Ok(other?),
            }
        }
    }

    /// What peers fetch the blobs with.
    pub(crate) fn credential_name(&self) -> Option<String> {
        let chosen = self.credentials.get(self.chosen.load(Ordering::Relaxed));
        chosen.and_then(|(name, _)| name.clone())
    }

    /// Does the registry give this very manifest to anybody?
    pub(crate) async fn is_public(&self, root: &oci::Digest) -> bool {
        let chosen = self.credentials.get(self.chosen.load(Ordering::Relaxed));
        if chosen.is_some_and(|(_, credential)| credential.is_anonymous()) {
            return true;
        }
        let wanted = TagOrDigest::Digest(root.clone());
        let head = self
            .registry
            .manifest_head(&self.repository, &wanted, &Credential::Anonymous)
            .await;
        head.is_ok_and(|head| head.digest == *root)
    }
}

async fn credentials_for(
    inner: &Inner,
    plain_http: bool,
    own: Option<&str>,
    registry: &oci::RegistryName,
) -> Result<Vec<Named>, Trouble> {
    let mut all = Vec::new();
    if let Some(name) = own
        && let Some(own) = credentials::of_preheat(inner, name).await?
    {
        all.push((Some(name.to_owned()), own));
    }
    if let Some(configured) = credentials::configured(inner, registry)
        && !is_downgraded(inner, plain_http, registry)
    {
        all.push((Some(credentials::configured_name(registry)), configured));
    }
    if all.is_empty() {
        all.push((None, Credential::Anonymous));
    }
    Ok(all)
}

/// A request that says `http://` of a registry that is configured for TLS must not make us send the registry's
/// password in clear.
fn is_downgraded(inner: &Inner, plain_http: bool, registry: &oci::RegistryName) -> bool {
    let configured = inner.registries.settings(registry);
    plain_http && configured.is_some_and(|settings| !settings.plain_http)
}

fn is_refusal(error: &RegistryError) -> bool {
    matches!(error.status(), Some(401 | 403)) || matches!(error, RegistryError::CredentialEnded { .. })
}
