//! The client for other peers' `share`. They answer from their store alone, so a response begins at once or
//! never.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::Stream;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use http::{Method, StatusCode};
use oci::{ContentRange, Credential, Digest, Location, Secret};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use store::{CHUNK, ChunkHash, ChunkHashes};
use tokio::time::timeout;
use wire::between_peers::{
    AUTHORIZATION_HEADER, CHUNK_HASHES_HEADER, CHUNKS, CROWD, DELIVERY, EXTENT_HEADER, KIND_HEADER,
    LOCATION_HEADER, MEDIA_TYPE_HEADER, OBJECT, PARTS, PIECE, PUBLIC, RELAY, SHARE_URL_HEADER, SIZE_HEADER,
    TAGS, WAIT_HEADER, ZONE_HEADER, read_hash,
};
use wire::{ObjectKind, PublicProof, Signed, TagMeaning};

use super::call::{Call, CallTarget, STALL_LIMIT};
use super::error::ShareError;
use super::permits::PeerPermits;
use super::registry_source::RegistrySource;
use super::unreachable::UnreachablePeers;
use crate::neighbours::Surroundings;

/// Requests that are sent to seeds only, because they carry credentials, or because a seed's response is trusted.
/// Chunks are read from any peer.
const FOR_SEEDS: [&str; 7] = [RELAY, DELIVERY, TAGS, PUBLIC, OBJECT, CHUNKS, CROWD];
/// Limit for a small response as a whole.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The longest list of chunk hashes: that of an object of 1 TiB.
const LIST_LIMIT: u64 = 32 * 1024 * 1024;

/// Asks any peer by the URL of its `share`.
#[derive(Clone)]
pub struct ShareClient {
    http: reqwest::Client,
    /// For requests in [`FOR_SEEDS`].
    seeds: reqwest::Client,
    around: Arc<dyn Surroundings>,
    unreachable: UnreachablePeers,
    permits: PeerPermits,
}

/// An object from another peer. Nothing of it is proven.
pub struct SharedObject {
    pub size: u64,
    pub media_type: Option<String>,
    pub kind: ObjectKind,
    /// Hashes of the chunks of a part, as a relay sends them.
    pub(crate) chunk_hashes: Vec<ChunkHash>,
    pub bytes: Pin<Box<dyn Stream<Item = Result<Bytes, ShareError>> + Send>>,
}

impl ShareClient {
    pub fn new(http: reqwest::Client, around: Arc<dyn Surroundings>) -> Self {
        Self {
            seeds: http.clone(),
            http,
            around,
            unreachable: UnreachablePeers::default(),
            permits: PeerPermits::default(),
        }
    }

    /// Sets the client for requests in `FOR_SEEDS`.
    #[must_use]
    pub fn calling_seeds_by(self, seeds: reqwest::Client) -> Self {
        Self { seeds, ..self }
    }

    /// The object's bytes in `range`, or all of them.
    pub async fn object(
        &self,
        share_url: &str,
        digest: &Digest,
        location: &Location,
        range: Option<Range<u64>>,
    ) -> Result<SharedObject, ShareError> {
        let mut call = self.call(share_url, OBJECT, Some(digest)).at(location);
        if let Some(range) = &range {
            let value = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            call = call.with(|request| request.header(RANGE, value));
        }
        streamed(call, range.map_or(0, |range| range.start)).await
    }

    /// One chunk. The peer may wait for it itself, at most for `wait`.
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
            return Err(ShareError::BadResponse("another range than asked for"));
        }
        let bytes = answer.gather(range.end - range.start).await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(ShareError::BadResponse("fewer bytes than asked for"));
        }
        Ok(bytes.into())
    }

    /// A seed's feed about the crowd of an object, line by line.
    pub(crate) async fn crowd(
        &self,
        share_url: &str,
        digest: &Digest,
        location: &Location,
    ) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes, ShareError>> + Send>>, ShareError> {
        let us = self.around.own_share().ok_or(ShareError::NoAddress)?;
        let request = self.request(&Method::GET, share_url, CROWD, Some(digest));
        let request = request.header(LOCATION_HEADER, location.to_string());
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
        location: &Location,
        from: u64,
    ) -> Result<SharedObject, ShareError> {
        let mut call = self.call(share_url, OBJECT, Some(digest)).at(location);
        if from > 0 {
            call = call.with(|request| request.header(RANGE, format!("bytes={from}-")));
        }
        streamed(call, from).await
    }

    /// The object's bytes from `from` on, relayed by a seed from the registry.
    pub(crate) async fn relay(
        &self,
        share_url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
        from: u64,
    ) -> Result<SharedObject, ShareError> {
        let mut call = self.relay_call(Method::GET, share_url, at, kind, digest).await?;
        if from > 0 {
            call = call.with(|request| request.header(RANGE, format!("bytes={from}-")));
        }
        streamed(call, from).await
    }

    /// A part of the object, relayed. The seed fetches nothing else.
    pub(crate) async fn relay_part(
        &self,
        share_url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<SharedObject, ShareError> {
        let asked = format!("bytes={}-{}", part.start, part.end.saturating_sub(1));
        let call = self.relay_call(Method::GET, share_url, at, kind, digest).await?;
        let call = call.with(|request| request.header(RANGE, asked).header(EXTENT_HEADER, PARTS));
        streamed(call, part.start).await
    }

    /// The object's size at the registry, asked by a seed.
    pub(crate) async fn relay_size(
        &self,
        share_url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<u64, ShareError> {
        let call = self.relay_call(Method::HEAD, share_url, at, kind, digest).await?;
        let answer = call
            .with(|request| request.header(EXTENT_HEADER, PARTS))
            .send()
            .await?;
        number(answer.headers(), CONTENT_LENGTH.as_str()).ok_or(ShareError::BadResponse("no size"))
    }

    async fn relay_call(
        &self,
        method: Method,
        share_url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Call, ShareError> {
        let credential = looked_up(at).await?;
        let call = self
            .call_by(&method, share_url, RELAY, Some(digest))
            .with(|request| {
                let request = request
                    .header(LOCATION_HEADER, at.location.to_string())
                    .header(KIND_HEADER, kind.word());
                let request = match at.size_hint {
                    Some(size) => request.header(SIZE_HEADER, size.to_string()),
                    None => request,
                };
                with_credential(request, &credential)
            });
        Ok(call.patient(self.header_wait(at)))
    }

    fn header_wait(&self, at: &RegistrySource) -> Duration {
        let registries = self.around.registries();
        registries.header_wait(at.location.registry())
    }

    /// The BLAKE3 hash of every chunk, from a peer that has proven the whole.
    pub async fn chunks(
        &self,
        share_url: &str,
        digest: &Digest,
        location: &Location,
    ) -> Result<ChunkHashes, ShareError> {
        let call = self.call(share_url, CHUNKS, Some(digest)).at(location);
        let answer = call.send().await?;
        let size: u64 = number(answer.headers(), SIZE_HEADER)
            .ok_or(ShareError::BadResponse("no size with chunk hashes"))?;
        let expected = size.div_ceil(CHUNK).saturating_mul(32);
        let fits = expected <= LIST_LIMIT && answer.content_length().is_none_or(|length| length == expected);
        if !fits {
            return Err(ShareError::BadResponse("chunk hashes do not fit the size"));
        }
        let bytes = timeout(ANSWER_LIMIT.max(STALL_LIMIT), answer.gather(expected))
            .await
            .map_err(|_| ShareError::Timeout(STALL_LIMIT))??;
        ChunkHashes::from_bytes(size, &bytes)
            .ok_or(ShareError::BadResponse("chunk hashes do not fit the size"))
    }

    /// The manager's record of what a tag means, if the peer has one. Nothing of it is verified here.
    pub async fn tag(
        &self,
        share_url: &str,
        location: &Location,
        tag: &str,
    ) -> Result<Option<Signed<TagMeaning>>, ShareError> {
        let call = self.call(share_url, TAGS, None).at(location);
        held(json(call.with(|request| request.query(&[("tag", tag)]))).await)
    }

    /// The manager's proof that anybody may read the object at this location, if the peer has one. Nothing of
    /// it is verified here.
    pub async fn public(
        &self,
        share_url: &str,
        location: &Location,
        digest: &Digest,
    ) -> Result<Option<PublicProof>, ShareError> {
        let call = self.call(share_url, PUBLIC, None).at(location);
        let query = [("digest", digest.as_str())];
        held(json(call.with(|request| request.query(&query))).await)
    }

    /// Asks a seed to check whether the location delivers the object that both hold.
    pub(crate) async fn delivery(
        &self,
        share_url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<(), ShareError> {
        let credential = looked_up(at).await?;
        let call = self.call(share_url, DELIVERY, Some(digest)).at(&at.location);
        let call = call.with(|request| {
            let request = request.header(KIND_HEADER, kind.word());
            with_credential(request, &credential)
        });
        call.patient(self.header_wait(at)).send().await.map(drop)
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

    fn peer(&self, share_url: &str) -> CallTarget {
        CallTarget {
            share_url: share_url.to_owned(),
            unreachable: self.unreachable.clone(),
            permits: self.permits.of(share_url),
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
        let http = if FOR_SEEDS.contains(&template) {
            &self.seeds
        } else {
            &self.http
        };
        http.request(method.clone(), format!("{share_url}{path}"))
    }
}

async fn looked_up(at: &RegistrySource) -> Result<Credential, ShareError> {
    let found = at.credential.looked_up(Some(&at.location.repository)).await;
    found.map_err(|error| ShareError::NoCredential(error.to_string()))
}

fn with_credential(request: RequestBuilder, credential: &Credential) -> RequestBuilder {
    match credential.authorization().and_then(|value| sensitive(&value)) {
        Some(value) => request.header(AUTHORIZATION_HEADER, value),
        None => request,
    }
}

/// Marks a header value as secret, so that HTTP libraries do not print it.
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
        _ => return Err(ShareError::BadResponse("the whole object instead of a range")),
    };
    Ok(SharedObject {
        size: size.ok_or(ShareError::BadResponse(
            "no size, or another range than asked for",
        ))?,
        media_type: text(headers, MEDIA_TYPE_HEADER).map(str::to_owned),
        kind: ObjectKind::of_word(text(headers, KIND_HEADER)),
        chunk_hashes: chunk_hashes(text(headers, CHUNK_HASHES_HEADER)),
        bytes: Box::pin(answer.body()),
    })
}

/// Reads the list of hashes. Returns all of them, or none.
fn chunk_hashes(listed: Option<&str>) -> Vec<ChunkHash> {
    let read = listed.map(|listed| listed.split(',').map(read_hash).collect::<Option<Vec<_>>>());
    read.flatten().unwrap_or_default()
}

/// "Not held" becomes `None`.
fn held<T>(answer: Result<T, ShareError>) -> Result<Option<T>, ShareError> {
    match answer {
        Ok(record) => Ok(Some(record)),
        Err(ShareError::NotHeld) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn json<T: DeserializeOwned>(call: Call) -> Result<T, ShareError> {
    let answer = call.send().await?;
    let bytes = timeout(ANSWER_LIMIT, answer.gather(64 * 1024))
        .await
        .map_err(|_| ShareError::Timeout(ANSWER_LIMIT))??;
    serde_json::from_slice(&bytes).map_err(|_| ShareError::BadResponse("not the JSON that was asked for"))
}

/// The object's size by the `Content-Range`, if the range begins at `from`.
fn size_behind_range(headers: &HeaderMap, from: u64) -> Option<u64> {
    let range = ContentRange::read(text(headers, CONTENT_RANGE.as_str())?)?;
    range.total.filter(|_| range.first == from)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}
