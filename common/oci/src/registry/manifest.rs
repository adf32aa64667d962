//! Fetches manifests whole.
//!
//! **Invariant:** the bytes that [`Registry::manifest`] returns have the returned digest.

use bytes::Bytes;
use http::{Method, StatusCode, header};

use super::client::Registry;
use super::headers::{check_coding, digest_header, media_type, number};
use super::request::{History, Request};
use crate::{Credential, Digest, MANIFEST_ACCEPT, RegistryError, Repository, TagOrDigest};

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
        check_coding(&headers, &request.requested)?;
        let bytes = self
            .read_whole(&request.requested, response, self.inner.limits.manifest_bytes)
            .await?;
        let digest = Digest::of(&bytes);
        let promised = wanted
            .digest()
            .cloned()
            .into_iter()
            .chain(digest_header(&headers));
        for expected in promised {
            if expected != digest {
                let (expected, found) = (Box::new(expected), Box::new(digest));
                return Err(RegistryError::WrongBytes {
                    requested: request.requested,
                    expected,
                    found,
                });
            }
        }
        Ok(FetchedManifest {
            bytes,
            digest,
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
        match (response.status(), digest_header(headers), media_type(headers)) {
            (StatusCode::OK, Some(digest), media_type) if !media_type.is_empty() => {
                if let Some(expected) = wanted.digest().filter(|expected| **expected != digest) {
                    let (expected, found) = (Box::new(expected.clone()), Box::new(digest));
                    return Err(RegistryError::WrongBytes {
                        requested: request.requested,
                        expected,
                        found,
                    });
                }
                Ok(ManifestHead {
                    digest,
                    media_type,
                    size: number(headers, &header::CONTENT_LENGTH),
                })
            }
            (StatusCode::OK | StatusCode::METHOD_NOT_ALLOWED, ..) => {
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
