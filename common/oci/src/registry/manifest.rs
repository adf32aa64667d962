//! Fetches manifests whole.
//!
//! **Invariant:** the bytes that [`Registry::manifest`] returns have the returned digest. It is the requested one, or
//! the one that the registry names for the tag; only where the registry names none, it is their sha256.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::client::Registry;
use super::coding::{BadBody, ManifestBody};
use super::headers::{digest_header, may_be_about_head, media_type, number};
use super::request::{History, Request};
use crate::{
    BadDigest, Credential, Digest, MANIFEST_ACCEPT, RegistryError, Repository, RequestedObject, TagOrDigest,
};

/// A manifest with the registry's exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    pub bytes: Bytes,
    pub digest: Digest,
    pub media_type: String,
}

/// What a registry says about a manifest in response to a HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    pub digest: Digest,
    pub media_type: String,
    pub size: Option<u64>,
}

impl Registry {
    /// Fetches a manifest of at most 4 MiB, and verifies it against the requested digest and the one in the headers.
    pub async fn manifest(
        &self,
        repository: &Repository,
        wanted: &TagOrDigest,
        credential: &Credential,
    ) -> Result<FetchedManifest, RegistryError> {
        let request = self.manifest_request(Method::GET, repository, wanted);
        let response = self.send_signed(&request, credential).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(&request, response, !credential.is_anonymous()).await);
        }
        let headers = response.headers().clone();
        let limit = self.inner.limits.manifest_bytes;
        let bytes = self.read_whole(&request.requested, response, limit).await?;
        let named = named_digest(wanted, &headers, &request.requested)?;
        let promised: Vec<Digest> = wanted.digest().cloned().into_iter().chain(named).collect();
        let body = ManifestBody {
            bytes,
            headers: &headers,
            limit,
        };
        let verified = body.verified(&promised);
        let bytes = verified.map_err(|bad| bad_body(request.requested, bad))?;
        let promised = promised.into_iter().next();
        Ok(FetchedManifest {
            digest: promised.unwrap_or_else(|| Digest::of(&bytes)),
            bytes,
            media_type: media_type(&headers),
        })
    }

    /// Returns digest, type and size of a manifest. If headers are missing, the whole manifest is fetched.
    pub async fn manifest_head(
        &self,
        repository: &Repository,
        wanted: &TagOrDigest,
        credential: &Credential,
    ) -> Result<ManifestHead, RegistryError> {
        let request = self.manifest_request(Method::HEAD, repository, wanted);
        let response = self.send_signed(&request, credential).await?;
        let headers = response.headers();
        let named = match response.status() {
            StatusCode::OK => named_digest(wanted, headers, &request.requested)?,
            _ => None,
        };
        match (response.status(), named, media_type(headers)) {
            (StatusCode::OK, Some(named), media_type) if !media_type.is_empty() => {
                let digest = wanted.digest().unwrap_or(&named).clone();
                if digest.algorithm() == named.algorithm() {
                    check_same(&digest, &named, &request.requested)?;
                }
                Ok(ManifestHead {
                    digest,
                    media_type,
                    size: number(headers, &header::CONTENT_LENGTH),
                })
            }
            // Some servers and proxies know no HEAD, or answer it with 403 or 404.
            (status, ..) if status == StatusCode::OK || may_be_about_head(status) => {
                let whole = self.manifest(repository, wanted, credential).await?;
                let size = u64::try_from(whole.bytes.len()).ok();
                Ok(ManifestHead {
                    digest: whole.digest,
                    media_type: whole.media_type,
                    size,
                })
            }
            _ => Err(self.refusal(&request, response, !credential.is_anonymous()).await),
        }
    }

    pub(super) fn manifest_request(
        &self,
        method: Method,
        repository: &Repository,
        wanted: &TagOrDigest,
    ) -> Request {
        Request {
            method,
            kind: "manifest",
            template: "/v2/{repository}/manifests/{reference}",
            path: format!("{repository}/manifests/{wanted}"),
            repository: repository.clone(),
            image: self.image(repository, wanted),
            accept: MANIFEST_ACCEPT.join(", "),
            from: 0,
            until: None,
            requested: self.requested(format!("manifest {wanted} of {repository}")),
            header_wait: None,
            history: History::default(),
        }
    }

    fn image(&self, repository: &Repository, wanted: &TagOrDigest) -> String {
        let joint = if wanted.digest().is_some() { '@' } else { ':' };
        format!("{}/{repository}{joint}{wanted}", self.name())
    }
}

fn bad_body(requested: RequestedObject, bad: BadBody) -> RegistryError {
    match bad {
        BadBody::OtherDigest { expected, found } => RegistryError::WrongBytes {
            requested,
            expected: Box::new(expected),
            found: Box::new(found),
        },
        BadBody::Encoded(coding) => RegistryError::BadAnswer {
            requested,
            what: format!("its body is encoded ({coding})"),
        },
    }
}

/// Returns the digest that the response names. A tag whose digest cannot be verified is refused, because under another
/// digest nobody would find the image.
fn named_digest(
    wanted: &TagOrDigest,
    headers: &HeaderMap,
    requested: &RequestedObject,
) -> Result<Option<Digest>, RegistryError> {
    match digest_header(headers) {
        Some(Ok(digest)) => Ok(Some(digest)),
        Some(Err(BadDigest::UnknownAlgorithm { algorithm })) if wanted.tag().is_some() => {
            Err(RegistryError::UnknownAlgorithm {
                requested: requested.clone(),
                algorithm,
            })
        }
        _ => Ok(None),
    }
}

fn check_same(expected: &Digest, found: &Digest, requested: &RequestedObject) -> Result<(), RegistryError> {
    if expected == found {
        return Ok(());
    }
    Err(RegistryError::WrongBytes {
        requested: requested.clone(),
        expected: Box::new(expected.clone()),
        found: Box::new(found.clone()),
    })
}
