//! A blob's bytes as they come, from any offset.
//!
//! **Invariant:** the stream ends without an error only after as many bytes as the registry announced. It says
//! nothing about which bytes they are: whoever stores them proves the digest.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::time::timeout;

use super::body::cut_short;
use super::client::Registry;
use super::headers::{check_coding, number};
use super::request::{History, Request};
use super::response::RegistryResponse;
use crate::{ContentRange, Credential, Digest, RegistryError, Repository, RequestedObject};

/// The rest of a blob.
pub struct ByteStream {
    /// Size of the whole blob, when the registry says it.
    pub total: Option<u64>,
    /// Where the stream begins: what was asked for.
    pub from: u64,
    /// The registry sent a part (206), and not the whole with its start dropped.
    pub is_part: bool,
    pub stream: Pin<Box<dyn Stream<Item = Result<Bytes, RegistryError>> + Send>>,
}

/// Which bytes of a blob are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobPart {
    pub from: u64,
    /// Behind the last byte; the blob's end unless given.
    pub until: Option<u64>,
}

impl BlobPart {
    pub fn from(from: u64) -> Self {
        Self { from, until: None }
    }

    fn is_whole(self) -> bool {
        self.from == 0 && self.until.is_none()
    }
}

impl Registry {
    /// The blob from byte `from` on. A registry that ignores ranges is read from the start, and the start dropped.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: u64,
        credential: &Credential,
    ) -> Result<ByteStream, RegistryError> {
        self.blob_part(repository, digest, BlobPart::from(from), credential)
            .await
    }

    /// Size of the blob, if the registry tells, once it has said that this credential may have it.
    pub async fn blob_head(
        &self,
        repository: &Repository,
        digest: &Digest,
        credential: &Credential,
    ) -> Result<Option<u64>, RegistryError> {
        let request = self.blob_request(Method::HEAD, repository, digest, BlobPart::from(0));
        let answer = self.send_signed(&request, credential).await?;
        match answer.status() {
            StatusCode::OK => Ok(number(answer.headers(), &header::CONTENT_LENGTH)),
            _ => Err(self.refusal(&request, answer, !credential.is_anonymous()).await),
        }
    }

    /// A part of the blob. The stream ends with the part, or with the blob if that is shorter.
    pub async fn blob_part(
        &self,
        repository: &Repository,
        digest: &Digest,
        wanted: BlobPart,
        credential: &Credential,
    ) -> Result<ByteStream, RegistryError> {
        let from = wanted.from;
        let request = self.blob_request(Method::GET, repository, digest, wanted);
        let answer = self.send_signed(&request, credential).await?;
        let asked = request.asked.clone();
        let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
        let extent = match answer.status() {
            StatusCode::OK => whole(answer.headers(), from, &asked),
            StatusCode::PARTIAL_CONTENT if !wanted.is_whole() => part(answer.headers(), from, &asked),
            _ => return Err(self.refusal(&request, answer, !credential.is_anonymous()).await),
        };
        let extent = extent
            .and_then(|extent| check_coding(answer.headers(), &asked).map(|()| extent))
            .inspect_err(|error| answer.failed(error))?;
        let limit = self.inner.limits.chunk_wait;
        let reading = BlobReading {
            answer,
            asked,
            limit,
            skip: extent.skip,
            received: 0,
            expected: extent.length,
            left: wanted.until.map_or(u64::MAX, |until| until.saturating_sub(from)),
        };
        let stream = Box::pin(stream::try_unfold(reading, BlobReading::next));
        Ok(ByteStream {
            total: extent.total,
            from,
            is_part,
            stream,
        })
    }

    pub(super) fn blob_request(
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
}

/// What of the body is wanted.
struct Extent {
    total: Option<u64>,
    /// Bytes at the start of the body that come before what was asked for.
    skip: u64,
    /// Bytes of the whole body.
    length: Option<u64>,
}

fn whole(headers: &HeaderMap, from: u64, asked: &RequestedObject) -> Result<Extent, RegistryError> {
    let total = number(headers, &header::CONTENT_LENGTH);
    if total.is_some_and(|total| total < from) {
        let what = format!("byte {from} was asked for and the whole is shorter");
        return Err(RegistryError::BadAnswer {
            asked: asked.clone(),
            what,
        });
    }
    Ok(Extent {
        total,
        skip: from,
        length: total,
    })
}

fn part(headers: &HeaderMap, from: u64, asked: &RequestedObject) -> Result<Extent, RegistryError> {
    let value = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    match value.and_then(ContentRange::read) {
        Some(range) if range.first == from => Ok(Extent {
            total: range.total,
            skip: 0,
            length: (range.last - range.first).checked_add(1),
        }),
        _ => {
            let what = format!("bytes from {from} on were asked for and others were sent");
            Err(RegistryError::BadAnswer {
                asked: asked.clone(),
                what,
            })
        }
    }
}

/// A body on its way.
struct BlobReading {
    answer: RegistryResponse,
    asked: RequestedObject,
    limit: Duration,
    skip: u64,
    received: u64,
    expected: Option<u64>,
    /// Bytes of the part that have not come yet.
    left: u64,
}

impl BlobReading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, RegistryError> {
        let bytes = self.wanted_bytes().await;
        let bytes = bytes.inspect_err(|error| self.answer.failed(error))?;
        Ok(bytes.map(|bytes| (bytes, self)))
    }

    /// The next bytes that are wanted; none at the honest end.
    async fn wanted_bytes(&mut self) -> Result<Option<Bytes>, RegistryError> {
        while self.left > 0 {
            let chunk = timeout(self.limit, self.answer.chunk())
                .await
                .map_err(|_| self.too_slow())?;
            let Some(chunk) = chunk.map_err(|cause| cut_short(&self.asked, self.received, &cause))? else {
                return self.end();
            };
            self.received += chunk.len() as u64;
            if self.expected.is_some_and(|expected| self.received > expected) {
                return Err(RegistryError::BadAnswer {
                    asked: self.asked.clone(),
                    what: "it is longer than was said".to_owned(),
                });
            }
            let mut wanted = self.without_the_start(chunk);
            wanted.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            if !wanted.is_empty() {
                self.left -= wanted.len() as u64;
                return Ok(Some(wanted));
            }
        }
        Ok(None)
    }

    fn without_the_start(&mut self, mut chunk: Bytes) -> Bytes {
        let drop = usize::try_from(self.skip).map_or(chunk.len(), |skip| skip.min(chunk.len()));
        self.skip -= drop as u64;
        chunk.split_off(drop)
    }

    fn end(&self) -> Result<Option<Bytes>, RegistryError> {
        let is_short = self.expected.is_some_and(|expected| self.received < expected) || self.skip > 0;
        if is_short {
            return Err(RegistryError::CutShort {
                asked: self.asked.clone(),
                received: self.received,
                cause: "the body ended before its announced length".to_owned(),
            });
        }
        Ok(None)
    }

    fn too_slow(&self) -> RegistryError {
        RegistryError::TimedOut {
            asked: self.asked.clone(),
            awaited: "further bytes",
            limit: self.limit,
        }
    }
}
