//! Talks to one registry: manifests whole and checked, blobs as they come.
//!
//! **Invariant:** what [`Registry::manifest`] returns has the digest it says; [`Registry::blob`] promises nothing
//! about bytes beyond their number, its caller proves them.

mod answer;
mod ask;
mod blob;
mod body;
mod exchange;
mod exchange_for_token;
mod patience;
mod probe;
mod redirect;
mod referrers;
mod resend;
mod sign_in;
mod tokens;
mod turns;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

pub use answer::{FromElsewhere, FromInside};
pub use ask::{Question, QuestionKind};
pub use blob::{BlobPart, ByteStream};
pub use patience::retry_after;
pub use probe::Probe;
pub use resend::broke_before_the_head;

use self::exchange::{History, Request};
use self::tokens::Tokens;
pub(crate) use self::turns::Turns;
use crate::clients::Clients;
use crate::dial::Dial;
use crate::harbors::Harbors;
use crate::manifest::without_parameters;
use crate::metrics::RegistryMetrics;
use crate::settings::{Limits, RegistrySettings};
use crate::text::tame;
use crate::{
    Asked, Credential, Digest, MANIFEST_ACCEPT, RegistryError, RegistryName, Repository, TagOrDigest,
};

/// One registry, its connections and its tokens. A clone is the same one.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    settings: RegistrySettings,
    /// Ends with `/v2/`.
    base: Url,
    clients: Clients,
    dial: Dial,
    harbors: Harbors,
    limits: Limits,
    turns: Turns,
    tokens: Tokens,
    metrics: RegistryMetrics,
}

/// What a registry shares with others, and across changes of its settings.
pub(crate) struct Shared {
    pub(crate) dial: Dial,
    pub(crate) harbors: Harbors,
    pub(crate) limits: Limits,
    pub(crate) turns: Turns,
    pub(crate) metrics: RegistryMetrics,
}

/// A manifest as the registry keeps it, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    pub bytes: Bytes,
    pub digest: Digest,
    pub media_type: String,
}

/// What a registry says about a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    pub digest: Digest,
    pub media_type: String,
    pub size: Option<u64>,
}

impl Registry {
    pub(crate) fn new(
        settings: RegistrySettings,
        base_path: &str,
        clients: Clients,
        shared: Shared,
    ) -> Result<Self, RegistryError> {
        let scheme = if settings.plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{}{base_path}/v2/", settings.name.api_host());
        let base = Url::parse(&base).map_err(|cause| RegistryError::Setup {
            registry: settings.name.clone(),
            cause: format!("its address cannot be used: {cause}"),
        })?;
        let Shared {
            dial,
            harbors,
            limits,
            turns,
            metrics,
        } = shared;
        let inner = Inner {
            settings,
            base,
            clients,
            dial,
            harbors,
            limits,
            turns,
            tokens: Tokens::default(),
            metrics,
        };
        inner.metrics.expect(inner.base.host_str().unwrap_or_default());
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub fn name(&self) -> &RegistryName {
        &self.inner.settings.name
    }

    /// The manifest, 4 MiB at most, checked against the digest that was asked for and the one in the answer.
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
        check_coding(&headers, &request.asked)?;
        let bytes = self
            .read_whole(&request.asked, response, self.inner.limits.manifest_bytes)
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
                    asked: request.asked,
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

    /// Digest, type and size of a manifest. A registry that leaves headers out of its answer is asked for the whole.
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
                        asked: request.asked,
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

    fn manifest_request(&self, method: Method, repository: &Repository, wanted: &TagOrDigest) -> Request {
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
            asked: self.asked(format!("manifest {wanted} of {repository}")),
            header_wait: None,
            history: History::default(),
        }
    }

    fn blob_request(
        &self,
        method: Method,
        repository: &Repository,
        digest: &Digest,
        part: BlobPart,
    ) -> Request {
        Request {
            method,
            kind: "blob",
            template: "/v2/{repository}/blobs/{digest}",
            path: format!("{repository}/blobs/{digest}"),
            repository: repository.clone(),
            image: format!("{}/{repository}", self.name()),
            accept: String::new(),
            from: part.from,
            until: part.until,
            asked: self.asked(format!("blob {digest} of {repository}")),
            header_wait: None,
            history: History::default(),
        }
    }

    fn image(&self, repository: &Repository, wanted: &TagOrDigest) -> String {
        let joint = if wanted.digest().is_some() { '@' } else { ':' };
        format!("{}/{repository}{joint}{wanted}", self.name())
    }

    /// Where requests go that are not redirected.
    fn host(&self) -> &str {
        self.inner.base.host_str().unwrap_or_default()
    }

    fn asked(&self, object: String) -> Asked {
        Asked {
            registry: self.name().clone(),
            object,
        }
    }
}

/// A digest of another algorithm says nothing to us.
fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    tame(without_parameters(value.unwrap_or_default()), 255)
}

fn number(headers: &HeaderMap, name: &header::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// We ask for bytes as they are. Coded ones would have another digest and other offsets.
fn check_coding(headers: &HeaderMap, asked: &Asked) -> Result<(), RegistryError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            // The words of an answer may be another host's than the registry's: only ours are repeated.
            let known = ["gzip", "deflate", "br", "zstd", "compress"];
            let known = known.into_iter().find(|known| coding == known);
            Err(RegistryError::BadAnswer {
                asked: asked.clone(),
                what: format!("its bytes are coded ({})", known.unwrap_or("in an unknown way")),
            })
        }
        _ => Ok(()),
    }
}
