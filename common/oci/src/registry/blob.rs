//! Streams a blob's bytes from any offset.
//!
//! **Invariant:** the stream ends without an error only after as many bytes as the registry announced. The bytes are
//! not verified here: the caller checks the digest.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::time::timeout;

use super::body::cut_short;
use super::client::Registry;
use super::headers::{may_be_about_head, media_type, number};
use super::request::{History, Request};
use super::response::RegistryResponse;
use crate::{ContentRange, Credential, Digest, RegistryError, Repository, RequestedObject};

/// The bytes of a blob from an offset on.
pub struct ByteStream {
    /// Size of the whole blob, if the registry says it.
    pub total: Option<u64>,
    /// The offset at which the stream begins, as requested.
    pub from: u64,
    /// Whether the registry sent a part (206). Otherwise it sent the whole, and the start was dropped.
    pub is_part: bool,
    pub stream: Pin<Box<dyn Stream<Item = Result<Bytes, RegistryError>> + Send>>,
}

/// A byte range of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobPart {
    pub from: u64,
    /// One past the last byte; by default the blob's end.
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
    /// Reads the blob from byte `from` on. If the registry ignores ranges, the start is read and dropped.
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

    /// Checks that the credential may read the blob, and returns its size if the registry says it. A refused HEAD, or one
    /// without a length, does not decide: then the first byte is read.
    pub async fn blob_head(
        &self,
        repository: &Repository,
        digest: &Digest,
        credential: &Credential,
    ) -> Result<Option<u64>, RegistryError> {
        let request = self.blob_request(Method::HEAD, repository, digest, BlobPart::from(0));
        match self.send_signed(&request, credential).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                // Servers that do not know the length write 0.
                let size = number(answer.headers(), &header::CONTENT_LENGTH).filter(|size| *size > 0);
                if size.is_some() || digest.is_of_nothing() {
                    return Ok(size.or(Some(0)));
                }
            }
            Ok(answer) if may_be_about_head(answer.status()) => {}
            Ok(answer) => return Err(self.refusal(&request, answer, !credential.is_anonymous()).await),
            Err(RegistryError::StorageRefused { .. }) => {}
            Err(error) => return Err(error),
        }
        self.first_byte(repository, digest, credential).await
    }

    /// Reads the first byte. A 206 shows access, and nearly always the size. Of a 200, the length is the size, unless
    /// it is a web page, which portals send for every path.
    async fn first_byte(
        &self,
        repository: &Repository,
        digest: &Digest,
        credential: &Credential,
    ) -> Result<Option<u64>, RegistryError> {
        let first = BlobPart {
            from: 0,
            until: Some(1),
        };
        let request = self.blob_request(Method::GET, repository, digest, first);
        let answer = self.send_signed(&request, credential).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let extent = part(answer.headers(), 0, &request.requested);
                Ok(extent.inspect_err(|error| answer.failed(error))?.total)
            }
            StatusCode::OK if media_type(answer.headers()).eq_ignore_ascii_case("text/html") => {
                Err(RegistryError::BadAnswer {
                    requested: request.requested,
                    what: "it is a web page".to_owned(),
                })
            }
            StatusCode::OK => Ok(number(answer.headers(), &header::CONTENT_LENGTH).filter(|size| *size > 0)),
            StatusCode::RANGE_NOT_SATISFIABLE if digest.is_of_nothing() => Ok(Some(0)),
            _ => Err(self.refusal(&request, answer, !credential.is_anonymous()).await),
        }
    }

    /// Sends a request for a part. A server that refuses the range (416) is asked for the whole: its start is dropped.
    async fn blob_response(
        &self,
        request: Request,
        credential: &Credential,
    ) -> Result<(Request, RegistryResponse), RegistryError> {
        let answer = self.send_signed(&request, credential).await?;
        let is_part = request.from > 0 || request.until.is_some();
        if answer.status() != StatusCode::RANGE_NOT_SATISFIABLE || !is_part {
            return Ok((request, answer));
        }
        drop(answer);
        let whole = Request {
            from: 0,
            until: None,
            history: History::default(),
            ..request
        };
        let answer = self.send_signed(&whole, credential).await?;
        Ok((whole, answer))
    }

    /// Reads a range of the blob. The stream ends with the range, or with the blob if that is shorter.
    pub async fn blob_part(
        &self,
        repository: &Repository,
        digest: &Digest,
        wanted: BlobPart,
        credential: &Credential,
    ) -> Result<ByteStream, RegistryError> {
        let from = wanted.from;
        let request = self.blob_request(Method::GET, repository, digest, wanted);
        let (request, answer) = self.blob_response(request, credential).await?;
        let requested = request.requested.clone();
        let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
        let extent = match answer.status() {
            StatusCode::OK => whole(answer.headers(), from, &requested),
            StatusCode::PARTIAL_CONTENT if !wanted.is_whole() => part(answer.headers(), from, &requested),
            _ => return Err(self.refusal(&request, answer, !credential.is_anonymous()).await),
        };
        let extent = extent.inspect_err(|error| answer.failed(error))?;
        let limit = self.inner.limits.chunk_wait;
        let reading = BlobReading {
            answer,
            requested,
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
            requested: self.requested(format!("blob {digest} of {repository}")),
            header_wait: None,
            history: History::default(),
        }
    }
}

/// Which bytes of the body to use.
struct Extent {
    total: Option<u64>,
    /// Bytes of the body before the requested offset.
    skip: u64,
    /// Bytes of the whole body.
    length: Option<u64>,
}

fn whole(headers: &HeaderMap, from: u64, requested: &RequestedObject) -> Result<Extent, RegistryError> {
    let total = number(headers, &header::CONTENT_LENGTH);
    if total.is_some_and(|total| total < from) {
        let what = format!("byte {from} was requested, but the whole is shorter");
        return Err(RegistryError::BadAnswer {
            requested: requested.clone(),
            what,
        });
    }
    Ok(Extent {
        total,
        skip: from,
        length: total,
    })
}

fn part(headers: &HeaderMap, from: u64, requested: &RequestedObject) -> Result<Extent, RegistryError> {
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
            let what = format!("bytes from {from} were requested, but others were sent");
            Err(RegistryError::BadAnswer {
                requested: requested.clone(),
                what,
            })
        }
    }
}

/// A body that is being read.
struct BlobReading {
    answer: RegistryResponse,
    requested: RequestedObject,
    limit: Duration,
    skip: u64,
    received: u64,
    expected: Option<u64>,
    /// Bytes of the range that are still to come.
    left: u64,
}

impl BlobReading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, RegistryError> {
        let bytes = self.wanted_bytes().await;
        let bytes = bytes.inspect_err(|error| self.answer.failed(error))?;
        Ok(bytes.map(|bytes| (bytes, self)))
    }

    /// Returns the next requested bytes; `None` at the end of the range.
    async fn wanted_bytes(&mut self) -> Result<Option<Bytes>, RegistryError> {
        while self.left > 0 {
            let chunk = timeout(self.limit, self.answer.chunk())
                .await
                .map_err(|_| self.too_slow())?;
            let Some(chunk) = chunk.map_err(|cause| cut_short(&self.requested, self.received, &cause))?
            else {
                return self.end();
            };
            self.received += chunk.len() as u64;
            if self.expected.is_some_and(|expected| self.received > expected) {
                return Err(RegistryError::BadAnswer {
                    requested: self.requested.clone(),
                    what: "it is longer than announced".to_owned(),
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
                requested: self.requested.clone(),
                received: self.received,
                cause: "the body ended before its announced length".to_owned(),
            });
        }
        Ok(None)
    }

    fn too_slow(&self) -> RegistryError {
        RegistryError::TimedOut {
            requested: self.requested.clone(),
            awaited: "more bytes",
            limit: self.limit,
        }
    }
}
