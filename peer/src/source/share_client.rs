//! Asks another peer's `share`. That peer answers from its store alone, so every answer is quick or none.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, RANGE};
use http::{Method, StatusCode};
use oci::Digest;
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use wire::{ObjectKind, TagRecord, TraceContext};

use super::Surroundings;
use crate::share::{KIND_HEADER, MEDIA_TYPE_HEADER, SIZE_HEADER, kind_of};
use crate::store::{CHUNK, ChunkHashes};

/// Until the headers of an answer are here, connecting included.
const HEADERS_LIMIT: Duration = Duration::from_secs(5);
/// Until a small answer is here as a whole.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Between two pieces of an object.
const STALL_LIMIT: Duration = Duration::from_secs(15);
/// The longest list of chunk hashes that is read: an object of 1 TiB.
const LIST_LIMIT: u64 = 32 * 1024 * 1024;

/// Asks any peer, by the URL of its `share`.
#[derive(Clone)]
pub struct ShareClient {
    http: reqwest::Client,
    around: Arc<dyn Surroundings>,
}

/// An object as it comes from another peer. Nothing of it is proven.
pub struct SharedObject {
    pub size: u64,
    pub media_type: Option<String>,
    pub kind: ObjectKind,
    pub bytes: Pin<Box<dyn Stream<Item = Result<Bytes, ShareError>> + Send>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error("the peer does not hold it")]
    NotHeld,
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    #[error("the peer sent nothing for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the transfer broke off: {0}")]
    Broke(String),
    #[error("the peer refused our token: is its clock right, and has it called in at the same manager?")]
    Refused,
    #[error("this peer has no token for other peers yet: it has not called in at the manager")]
    NoToken,
    #[error("the peer answered {0}")]
    Answered(StatusCode),
    #[error("the peer's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

#[derive(Deserialize)]
struct Public {
    public: bool,
}

impl ShareClient {
    pub fn new(http: reqwest::Client, around: Arc<dyn Surroundings>) -> Self {
        Self { http, around }
    }

    /// The object's bytes in `range`; from its start to its end unless one is given.
    pub async fn object(
        &self,
        share_url: &str,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<SharedObject, ShareError> {
        let mut request = self.get(&format!("{share_url}/share/v1/objects/{digest}"))?;
        if let Some(range) = &range {
            request = request.header(
                RANGE,
                format!("bytes={}-{}", range.start, range.end.saturating_sub(1)),
            );
        }
        self.streamed(request, range.map_or(0, |range| range.start)).await
    }

    /// The object's bytes from `from` to its end.
    pub async fn object_from(
        &self,
        share_url: &str,
        digest: &Digest,
        from: u64,
    ) -> Result<SharedObject, ShareError> {
        let mut request = self.get(&format!("{share_url}/share/v1/objects/{digest}"))?;
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        self.streamed(request, from).await
    }

    /// BLAKE3 of every chunk, from a peer that has proven the whole.
    pub async fn chunks(&self, share_url: &str, digest: &Digest) -> Result<ChunkHashes, ShareError> {
        let response = answer(self.get(&format!("{share_url}/share/v1/objects/{digest}/chunks"))?).await?;
        let size: u64 = number(response.headers(), SIZE_HEADER)
            .ok_or(ShareError::Nonsense("no size with chunk hashes"))?;
        let expected = size.div_ceil(CHUNK).saturating_mul(32);
        let fits = expected <= LIST_LIMIT && response.content_length().is_none_or(|told| told == expected);
        if !fits {
            return Err(ShareError::Nonsense("chunk hashes do not fit the size"));
        }
        let bytes = timeout(ANSWER_LIMIT.max(STALL_LIMIT), gather(response, expected))
            .await
            .map_err(|_| ShareError::Silent(STALL_LIMIT))??;
        ChunkHashes::from_bytes(size, &bytes).ok_or(ShareError::Nonsense("chunk hashes do not fit the size"))
    }

    /// What the tag means, as far as the peer knows.
    pub async fn tag(
        &self,
        share_url: &str,
        registry: &str,
        repository: &str,
        tag: &str,
    ) -> Result<Option<TagRecord>, ShareError> {
        let query = [("registry", registry), ("repository", repository), ("tag", tag)];
        let request = self.get(&format!("{share_url}/share/v1/tags"))?.query(&query);
        match json(request).await {
            Ok(record) => Ok(Some(record)),
            Err(ShareError::NotHeld) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the peer knows that anybody may read the object in this repository.
    pub async fn public(
        &self,
        share_url: &str,
        registry: &str,
        repository: &str,
        digest: &Digest,
    ) -> Result<bool, ShareError> {
        let query = [
            ("registry", registry),
            ("repository", repository),
            ("digest", digest.as_str()),
        ];
        let request = self.get(&format!("{share_url}/share/v1/public"))?.query(&query);
        json::<Public>(request).await.map(|answer| answer.public)
    }

    async fn streamed(&self, request: RequestBuilder, from: u64) -> Result<SharedObject, ShareError> {
        let response = answer(request).await?;
        let headers = response.headers();
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT => size_behind_range(headers, from),
            _ if from == 0 => number(headers, CONTENT_LENGTH.as_str()),
            _ => return Err(ShareError::Nonsense("the whole object instead of a range")),
        };
        Ok(SharedObject {
            size: size.ok_or(ShareError::Nonsense("no size, or another range than asked for"))?,
            media_type: text(headers, MEDIA_TYPE_HEADER).map(str::to_owned),
            kind: kind_of(text(headers, KIND_HEADER)),
            bytes: Box::pin(limited(response)),
        })
    }

    fn get(&self, url: &str) -> Result<RequestBuilder, ShareError> {
        let token = self.around.peer_token().ok_or(ShareError::NoToken)?;
        let request = self.http.request(Method::GET, url).bearer_auth(token.expose());
        Ok(match TraceContext::current() {
            Some(context) => request.header("traceparent", context.as_str()),
            None => request,
        })
    }
}

async fn answer(request: RequestBuilder) -> Result<Response, ShareError> {
    let response = timeout(HEADERS_LIMIT, request.send())
        .await
        .map_err(|_| ShareError::Silent(HEADERS_LIMIT))?
        .map_err(|error| ShareError::Unreachable(causes(&error)))?;
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(ShareError::NotHeld),
        StatusCode::UNAUTHORIZED => Err(ShareError::Refused),
        status => Err(ShareError::Answered(status)),
    }
}

async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ShareError> {
    let response = answer(request).await?;
    let bytes = timeout(ANSWER_LIMIT, gather(response, 64 * 1024))
        .await
        .map_err(|_| ShareError::Silent(ANSWER_LIMIT))??;
    serde_json::from_slice(&bytes).map_err(|_| ShareError::Nonsense("not the JSON that was asked for"))
}

/// The body, as long as it is not longer than `at_most`.
async fn gather(response: Response, at_most: u64) -> Result<Vec<u8>, ShareError> {
    let mut body = std::pin::pin!(limited(response));
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await {
        all.extend_from_slice(&bytes?);
        if all.len() as u64 > at_most {
            return Err(ShareError::Nonsense("the answer is too long"));
        }
    }
    Ok(all)
}

fn limited(response: Response) -> impl Stream<Item = Result<Bytes, ShareError>> + Send {
    futures_util::stream::unfold(Some(response), |response| async {
        let mut response = response?;
        match timeout(STALL_LIMIT, response.chunk()).await {
            Ok(Ok(Some(bytes))) => Some((Ok(bytes), Some(response))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some((Err(ShareError::Broke(causes(&error))), None)),
            Err(_) => Some((Err(ShareError::Silent(STALL_LIMIT)), None)),
        }
    })
}

/// `Content-Range: bytes 5-9/10` says 10, if the range begins where it was asked to.
fn size_behind_range(headers: &HeaderMap, from: u64) -> Option<u64> {
    let (range, size) = text(headers, CONTENT_RANGE.as_str())?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (first, _) = range.split_once('-')?;
    (first.parse::<u64>().ok()? == from).then(|| size.parse().ok())?
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// The innermost cause says what happened; the URL in front of it is known already.
fn causes(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
