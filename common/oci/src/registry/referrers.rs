//! The referrers API of a registry.

use http::{HeaderMap, Method, StatusCode, header};
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use url::Url;

use super::client::Registry;
use super::headers::media_type;
use super::request::{History, Request};
use crate::referrers::Referrers;
use crate::{Credential, Digest, RegistryError, Repository};

/// Pages of a list that are read.
const PAGES: usize = 20;

impl Registry {
    /// Returns the referrers of a manifest; `None` if the registry has no referrers API.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        credential: &Credential,
    ) -> Result<Option<Referrers>, RegistryError> {
        let mut all = Referrers::default();
        let first = format!("{repository}/referrers/{subject}");
        let mut path = first.clone();
        for page in 0..PAGES {
            let request = self.referrers_request(repository, subject, path);
            let answer = match self.send_signed(&request, credential).await {
                Err(error) if page == 0 && leads_elsewhere(&error) => return Ok(None),
                answer => answer?,
            };
            let is_list = media_type(answer.headers()) == OCI_IMAGE_INDEX_MEDIA_TYPE;
            match answer.status() {
                StatusCode::OK if is_list => {}
                _ if page == 0 && answer.elsewhere().is_some() => return Ok(None),
                status if page == 0 && keeps_no_lists(status) => return Ok(None),
                _ => return Err(self.refusal(&request, answer, !credential.is_anonymous()).await),
            }
            let next = self.next_page(answer.headers(), &first);
            let limit = self.inner.limits.manifest_bytes;
            let bytes = self.read_whole(&request.requested, answer, limit).await?;
            all.add(&bytes).map_err(|cause| RegistryError::BadAnswer {
                requested: request.requested,
                what: cause.to_string(),
            })?;
            match next {
                Some(next) if !all.is_full() => path = next,
                _ => break,
            }
        }
        Ok(Some(all))
    }

    fn referrers_request(&self, repository: &Repository, subject: &Digest, path: String) -> Request {
        Request {
            method: Method::GET,
            kind: "manifest",
            template: "/v2/{repository}/referrers/{digest}",
            path,
            repository: repository.clone(),
            image: format!("{}/{repository}@{subject}", self.name()),
            accept: OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned(),
            from: 0,
            until: None,
            requested: self.requested(format!("referrers of {subject} of {repository}")),
            header_wait: None,
            history: History::default(),
        }
    }

    /// Returns the path of the next page, if it belongs to the same list of the same registry.
    fn next_page(&self, headers: &HeaderMap, first: &str) -> Option<String> {
        let link = headers.get(header::LINK)?.to_str().ok()?;
        let (target, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
        if !relation.contains("next") {
            return None;
        }
        let here: Url = self.inner.base.join(first).ok()?;
        let there = here.join(target).ok()?;
        let same_list = there.origin() == here.origin() && there.path() == here.path();
        let query = there.query().filter(|_| same_list)?;
        Some(format!("{first}?{query}"))
    }
}

/// Whether the registry redirected to a host that refuses, or where no request goes: its pages for browsers.
fn leads_elsewhere(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::StorageRefused { .. }
            | RegistryError::BadRedirect { .. }
            | RegistryError::NotAllowed {
                by_registry: true,
                ..
            }
    )
}

/// Whether a status means that the registry has no referrers API; it may also send an HTML page. A refusal or rate
/// limit is an error instead.
fn keeps_no_lists(status: StatusCode) -> bool {
    !status.is_server_error() && !matches!(status.as_u16(), 401 | 403 | 429) || status.as_u16() == 501
}
