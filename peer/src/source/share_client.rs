//! Asks another peer's `share`. That peer answers from its store alone, so every answer is quick or none.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use http::{Method, StatusCode};
use oci::{Digest, Secret};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use wire::{ObjectKind, TagRecord};

use super::Surroundings;
use super::absent::Absent;
use super::call::{Call, Peer, STALL_LIMIT};
use super::crowd::read_hash;
use super::open::Origin;
use super::turns::Turns;
use crate::relay::{
    AUTHORIZATION_HEADER, BASE_PATH_HEADER, CHUNK_HASHES_HEADER, EXTENT_HEADER, PARTS, PLAIN_HTTP_HEADER,
    REGISTRY_HEADER, REPOSITORY_HEADER,
};
use crate::share::crowd::{SHARE_URL_HEADER, ZONE_HEADER};
use crate::share::objects::WAIT_HEADER;
use crate::share::{KIND_HEADER, MEDIA_TYPE_HEADER, SIZE_HEADER, kind_of, word_of};
use crate::store::{CHUNK, ChunkHash, ChunkHashes};

const OBJECT: &str = "/share/v1/objects/{digest}";
const CHUNKS: &str = "/share/v1/objects/{digest}/chunks";
const PIECE: &str = "/share/v1/objects/{digest}/piece";
const CROWD: &str = "/share/v1/objects/{digest}/crowd";
const TAGS: &str = "/share/v1/tags";
const PUBLIC: &str = "/share/v1/public";
const RELAY: &str = "/relay/v1/objects/{digest}";
/// Until a small answer is here as a whole.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The longest list of chunk hashes that is read: an object of 1 TiB.
const LIST_LIMIT: u64 = 32 * 1024 * 1024;

/// Asks any peer, by the URL of its `share`.
#[derive(Clone)]
pub struct ShareClient {
    http: reqwest::Client,
    /// For what only seeds may be sent.
    seeds: reqwest::Client,
    around: Arc<dyn Surroundings>,
    absent: Absent,
    turns: Turns,
}

/// An object as it comes from another peer. Nothing of it is proven.
pub struct SharedObject {
    pub size: u64,
    pub media_type: Option<String>,
    pub kind: ObjectKind,
    /// Of each chunk of a part, as a relay tells them.
    pub(crate) chunk_hashes: Vec<ChunkHash>,
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
    #[error("the peer refused our certificate: are both clocks right, and was this peer removed?")]
    Refused,
    #[error("the seed may not give it to this credential: {0}")]
    Denied(String),
    #[error("the credential for the registry could not be looked up: {0}")]
    NoCredential(String),
    #[error("this peer does not know where others reach it")]
    NoAddress,
    #[error("the peer answered {0}")]
    Answered(StatusCode),
    #[error("the peer's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

impl ShareError {
    /// The same in one of a few words.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NotHeld => "not_held",
            Self::Unreachable(_) => "unreachable",
            Self::Silent(_) => "timeout",
            Self::Broke(_) => "cut_short",
            Self::Refused => "refused",
            Self::Denied(_) => "denied",
            Self::NoCredential(_) => "no_credential",
            Self::NoAddress => "no_address",
            Self::Answered(_) => "unexpected_answer",
            Self::Nonsense(_) => "bad_answer",
        }
    }
}

#[derive(Deserialize)]
struct Public {
    public: bool,
}

impl ShareClient {
    pub fn new(http: reqwest::Client, around: Arc<dyn Surroundings>) -> Self {
        Self {
            seeds: http.clone(),
            http,
            around,
            absent: Absent::default(),
            turns: Turns::default(),
        }
    }

    /// Relays, which are sent callers' credentials, are called by this client.
    #[must_use]
    pub fn calling_seeds_by(self, seeds: reqwest::Client) -> Self {
        Self { seeds, ..self }
    }

    /// The object's bytes in `range`; from its start to its end unless one is given.
    pub async fn object(
        &self,
        share_url: &str,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<SharedObject, ShareError> {
        let mut call = self.call(share_url, OBJECT, Some(digest));
        if let Some(range) = &range {
            let value = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            call = call.with(|request| request.header(RANGE, value));
        }
        streamed(call, range.map_or(0, |range| range.start)).await
    }

    /// One chunk, which the peer may have to wait for itself: no longer than `wait`.
    pub(crate) async fn chunk(
        &self,
        share_url: &str,
        digest: &Digest,
        range: Range<u64>,
        wait: Duration,
    ) -> Result<Bytes, ShareError> {
        let asked = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let request = self.request(&Method::GET, share_url, PIECE, Some(digest));
        let request = request
            .header(RANGE, asked)
            .header(WAIT_HEADER, wait.as_millis().to_string());
        let call = Call::untraced(request, self.peer(share_url));
        let answer = call.send().await?;
        if answer.status() != StatusCode::PARTIAL_CONTENT
            || size_behind_range(answer.headers(), range.start).is_none()
        {
            return Err(ShareError::Nonsense("another range than asked for"));
        }
        let bytes = answer.gather(range.end - range.start).await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(ShareError::Nonsense("fewer bytes than asked for"));
        }
        Ok(bytes.into())
    }

    /// What a seed tells, line by line, of the others who fetch the object.
    pub(crate) async fn crowd(
        &self,
        share_url: &str,
        digest: &Digest,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes, ShareError>> + Send>>, ShareError> {
        let us = self.around.own_share().ok_or(ShareError::NoAddress)?;
        let request = self.request(&Method::GET, share_url, CROWD, Some(digest));
        let request = match self.around.zone() {
            Some(zone) => request.header(ZONE_HEADER, zone),
            None => request,
        };
        let answer = Call::untraced(request.header(SHARE_URL_HEADER, us), self.peer(share_url))
            .send()
            .await?;
        Ok(Box::pin(answer.body()))
    }

    /// The object's bytes from `from` to its end.
    pub async fn object_from(
        &self,
        share_url: &str,
        digest: &Digest,
        from: u64,
    ) -> Result<SharedObject, ShareError> {
        let mut call = self.call(share_url, OBJECT, Some(digest));
        if from > 0 {
            call = call.with(|request| request.header(RANGE, format!("bytes={from}-")));
        }
        streamed(call, from).await
    }

    /// The object's bytes from `from` on, as a seed gets them from the registry.
    pub(crate) async fn relay(
        &self,
        share_url: &str,
        origin: &Origin,
        kind: ObjectKind,
        digest: &Digest,
        from: u64,
    ) -> Result<SharedObject, ShareError> {
        let mut call = self
            .relay_call(Method::GET, share_url, origin, kind, digest)
            .await?;
        if from > 0 {
            call = call.with(|request| request.header(RANGE, format!("bytes={from}-")));
        }
        streamed(call, from).await
    }

    /// A part of the object; the seed fetches no more than that.
    pub(crate) async fn relay_part(
        &self,
        share_url: &str,
        origin: &Origin,
        kind: ObjectKind,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<SharedObject, ShareError> {
        let asked = format!("bytes={}-{}", part.start, part.end.saturating_sub(1));
        let call = self
            .relay_call(Method::GET, share_url, origin, kind, digest)
            .await?;
        let call = call.with(|request| request.header(RANGE, asked).header(EXTENT_HEADER, PARTS));
        streamed(call, part.start).await
    }

    /// The object's size.
    pub(crate) async fn relay_size(
        &self,
        share_url: &str,
        origin: &Origin,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<u64, ShareError> {
        let call = self
            .relay_call(Method::HEAD, share_url, origin, kind, digest)
            .await?;
        let answer = call
            .with(|request| request.header(EXTENT_HEADER, PARTS))
            .send()
            .await?;
        number(answer.headers(), CONTENT_LENGTH.as_str()).ok_or(ShareError::Nonsense("no size"))
    }

    async fn relay_call(
        &self,
        method: Method,
        share_url: &str,
        origin: &Origin,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Call, ShareError> {
        let looked_up = origin.credential.looked_up().await;
        let credential = looked_up.map_err(|error| ShareError::NoCredential(error.to_string()))?;
        let call = self
            .call_by(&method, share_url, RELAY, Some(digest))
            .with(|request| {
                let request = request
                    .header(REGISTRY_HEADER, origin.registry.as_str())
                    .header(BASE_PATH_HEADER, &origin.base_path)
                    .header(PLAIN_HTTP_HEADER, origin.plain_http.to_string())
                    .header(REPOSITORY_HEADER, origin.repository.as_str())
                    .header(KIND_HEADER, word_of(kind));
                let request = match origin.size_hint {
                    Some(size) => request.header(SIZE_HEADER, size.to_string()),
                    None => request,
                };
                match credential.authorization().and_then(|value| sensitive(&value)) {
                    Some(value) => request.header(AUTHORIZATION_HEADER, value),
                    None => request,
                }
            });
        Ok(call.patient())
    }

    /// BLAKE3 of every chunk, from a peer that has proven the whole.
    pub async fn chunks(&self, share_url: &str, digest: &Digest) -> Result<ChunkHashes, ShareError> {
        let answer = self.call(share_url, CHUNKS, Some(digest)).send().await?;
        let size: u64 =
            number(answer.headers(), SIZE_HEADER).ok_or(ShareError::Nonsense("no size with chunk hashes"))?;
        let expected = size.div_ceil(CHUNK).saturating_mul(32);
        let fits = expected <= LIST_LIMIT && answer.content_length().is_none_or(|told| told == expected);
        if !fits {
            return Err(ShareError::Nonsense("chunk hashes do not fit the size"));
        }
        let bytes = timeout(ANSWER_LIMIT.max(STALL_LIMIT), answer.gather(expected))
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
        let call = self.call(share_url, TAGS, None);
        match json(call.with(|request| request.query(&query))).await {
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
        let call = self.call(share_url, PUBLIC, None);
        let answer = json::<Public>(call.with(|request| request.query(&query))).await?;
        Ok(answer.public)
    }

    fn call(&self, share_url: &str, template: &'static str, digest: Option<&Digest>) -> Call {
        self.call_by(&Method::GET, share_url, template, digest)
    }

    fn call_by(
        &self,
        method: &Method,
        share_url: &str,
        template: &'static str,
        digest: Option<&Digest>,
    ) -> Call {
        let request = self.request(method, share_url, template, digest);
        Call::new(method, request, self.peer(share_url), template)
    }

    fn peer(&self, share_url: &str) -> Peer {
        Peer {
            share_url: share_url.to_owned(),
            absent: self.absent.clone(),
            turns: self.turns.of(share_url),
        }
    }

    fn request(
        &self,
        method: &Method,
        share_url: &str,
        template: &'static str,
        digest: Option<&Digest>,
    ) -> RequestBuilder {
        let path = digest.map_or_else(
            || template.to_owned(),
            |digest| template.replace("{digest}", digest.as_str()),
        );
        let http = if template == RELAY {
            &self.seeds
        } else {
            &self.http
        };
        http.request(method.clone(), format!("{share_url}{path}"))
    }
}

/// A value that HTTP libraries do not print either.
fn sensitive(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn streamed(call: Call, from: u64) -> Result<SharedObject, ShareError> {
    let answer = call.send().await?;
    let headers = answer.headers();
    let size = match answer.status() {
        StatusCode::PARTIAL_CONTENT => size_behind_range(headers, from),
        _ if from == 0 => number(headers, CONTENT_LENGTH.as_str()),
        _ => return Err(ShareError::Nonsense("the whole object instead of a range")),
    };
    Ok(SharedObject {
        size: size.ok_or(ShareError::Nonsense("no size, or another range than asked for"))?,
        media_type: text(headers, MEDIA_TYPE_HEADER).map(str::to_owned),
        kind: kind_of(text(headers, KIND_HEADER)),
        chunk_hashes: chunk_hashes(text(headers, CHUNK_HASHES_HEADER)),
        bytes: Box::pin(answer.body()),
    })
}

/// All of them or none.
fn chunk_hashes(listed: Option<&str>) -> Vec<ChunkHash> {
    let read = listed.map(|listed| listed.split(',').map(read_hash).collect::<Option<Vec<_>>>());
    read.flatten().unwrap_or_default()
}

async fn json<T: DeserializeOwned>(call: Call) -> Result<T, ShareError> {
    let answer = call.send().await?;
    let bytes = timeout(ANSWER_LIMIT, answer.gather(64 * 1024))
        .await
        .map_err(|_| ShareError::Silent(ANSWER_LIMIT))??;
    serde_json::from_slice(&bytes).map_err(|_| ShareError::Nonsense("not the JSON that was asked for"))
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
