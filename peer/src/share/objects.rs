//! Whole objects, ranges of them, and their chunk hashes.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use oci::{Digest, RequestedRange};
use prometheus_client::metrics::counter::Counter;
use store::{About, CHUNK, Sealed, off_thread, read_at};
use tracing::{Span, warn};
use wire::between_peers::{KIND_HEADER, LOCATION_HEADER, MEDIA_TYPE_HEADER, SIZE_HEADER, WAIT_HEADER};

use super::{ShareState, delivered, location};
use crate::fetch::{PartialReader, ReadableObject};
use crate::limits::{Class, Limits, Way};

const WAIT_LIMIT: Duration = Duration::from_secs(5);

/// What is counted of bytes on their way to another peer, and how fast they may go.
pub(crate) struct Out {
    pub(crate) sent: Counter,
    pub(crate) limits: Limits,
}

pub(crate) enum Refusal {
    NotADigest,
    NoLocation,
    NotHeld,
    /// The object's size tells what could be asked for.
    BadRange(u64),
    Disk,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NotADigest => {
                (StatusCode::BAD_REQUEST, "write sha256: and 64 hexadecimal digits").into_response()
            }
            Self::NoLocation => {
                let text =
                    format!("name the repository in {LOCATION_HEADER}: https://<registry>/v2/<repository>");
                (StatusCode::BAD_REQUEST, text).into_response()
            }
            Self::NotHeld => (StatusCode::NOT_FOUND, "not delivered here").into_response(),
            Self::BadRange(size) => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                [(CONTENT_RANGE, format!("bytes */{size}"))],
            )
                .into_response(),
            Self::Disk => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the disk of this peer refused").into_response()
            }
        }
    }
}

pub(super) async fn object(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let digest = asked_for(&state, &digest)?;
    Span::current().record("stoker.digest", digest.as_str());
    let found = if let Some(sealed) = delivered(&state, &digest, &headers) {
        Found::Whole(sealed)
    } else {
        let location = location(&headers).ok_or(Refusal::NoLocation)?;
        Found::Partly(state.partial_reader_from(&digest, &location))
    };
    given(&state, found, &method, &headers).await
}

/// A piece of an object that the asking peer has hashes of: from a peer that answered for its location.
pub(super) async fn piece(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let digest = asked_for(&state, &digest)?;
    let found = match state.store.sealed(&digest) {
        Some(sealed) => Found::Whole(sealed),
        None => Found::Partly(state.partial_reader(&digest)),
    };
    given(&state, found, &method, &headers).await
}

/// What this peer has of an object.
enum Found {
    Whole(Sealed),
    Partly(Option<PartialReader>),
}

/// Returns the digest in the path. A blocked object is not held, for anybody.
fn asked_for(state: &ShareState, digest: &str) -> Result<Digest, Refusal> {
    let digest: Digest = digest.parse().map_err(|_| Refusal::NotADigest)?;
    if state.store.is_blocked(&digest) {
        return Err(Refusal::NotHeld);
    }
    Ok(digest)
}

async fn given(
    state: &ShareState,
    found: Found,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let sealed = match found {
        Found::Whole(sealed) => sealed,
        Found::Partly(partly) => return part_of(state, partly, headers).await,
    };
    let about = state.store.about(&sealed.digest);
    answer(
        &ReadableObject::Sealed(sealed),
        about,
        method,
        headers,
        &state.out(),
    )
    .await
}

/// A part that has landed of an object that is on its way here.
async fn part_of(
    state: &ShareState,
    partly: Option<PartialReader>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let range = closed_range(headers).ok_or(Refusal::NotHeld)?;
    let mut partly = partly.ok_or(Refusal::NotHeld)?;
    let part = partly.part(range.clone(), wait(headers)).await;
    let (file, size) = part.ok_or(Refusal::NotHeld)?;
    let range = range.start..range.end.min(size);
    if range.is_empty() {
        return Err(Refusal::BadRange(size));
    }
    let length = range.end - range.start;
    let bytes = read_at(file, range.start, length)
        .await
        .map_err(|_| Refusal::Disk)?;
    state.limits.outgoing(length).await;
    state.sent.inc_by(length);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let answer = response.headers_mut();
    if let Ok(value) = format!("bytes {}-{}/{size}", range.start, range.end - 1).parse() {
        answer.insert(CONTENT_RANGE, value);
    }
    Ok(response)
}

/// How long the asking peer waits for chunks that are on their way.
fn wait(headers: &HeaderMap) -> Duration {
    let asked = headers
        .get(WAIT_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    asked
        .map_or(Duration::ZERO, Duration::from_millis)
        .min(WAIT_LIMIT)
}

/// No more than is read in one step.
fn closed_range(headers: &HeaderMap) -> Option<std::ops::Range<u64>> {
    let value = headers.get(RANGE)?.to_str().ok()?;
    let RequestedRange::Closed(first, last) = RequestedRange::read_only(value)? else {
        return None;
    };
    let range = first..last.checked_add(1)?;
    (range.end - range.start <= CHUNK).then_some(range)
}

/// The object, or the range of it that is asked for.
pub(crate) async fn answer(
    object: &ReadableObject,
    about: Option<About>,
    method: &Method,
    headers: &HeaderMap,
    out: &Out,
) -> Result<Response, Refusal> {
    let size = object.size();
    let (status, range) = match asked_range(headers, size)? {
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
        None => (StatusCode::OK, 0..size),
    };
    let mut response = if method == Method::HEAD {
        Response::new(Body::empty())
    } else {
        // Whoever reads the object says in its log what the disk refused.
        let bytes = object.read(range.clone()).await.map_err(|_| Refusal::Disk)?;
        let sent = out.sent.clone();
        let paced = out.limits.paced(Way::ToPeer, bytes, || Class::Interactive);
        let counted = paced.inspect_ok(move |piece| {
            sent.inc_by(piece.len() as u64);
        });
        Response::new(Body::from_stream(counted))
    };
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(CONTENT_LENGTH, (range.end - range.start).into());
    answer.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = format!("bytes {}-{}/{}", range.start, range.end - 1, size).parse()
    {
        answer.insert(CONTENT_RANGE, value);
    }
    if let Some(about) = about {
        answer.insert(KIND_HEADER, HeaderValue::from_static(about.kind.word()));
        if let Some(Ok(value)) = about.media_type.map(|text| HeaderValue::from_str(&text)) {
            answer.insert(MEDIA_TYPE_HEADER, value);
        }
    }
    Ok(response)
}

pub(super) async fn chunks(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let sealed = find(&state, &digest, &headers)?;
    let reading = sealed.clone();
    let hashes = off_thread(move || reading.chunk_hashes())
        .await
        .map_err(|error| disk(&sealed, &error))?;
    let headers = [(SIZE_HEADER, sealed.size.to_string())];
    Ok((headers, hashes.to_bytes()).into_response())
}

fn find(state: &ShareState, digest: &str, headers: &HeaderMap) -> Result<Sealed, Refusal> {
    let digest = asked_for(state, digest)?;
    delivered(state, &digest, headers).ok_or(Refusal::NotHeld)
}

fn disk(sealed: &Sealed, error: &std::io::Error) -> Refusal {
    warn!(stoker.digest = %sealed.digest, stoker.side = "peer", %error, "a sealed object cannot be read");
    Refusal::Disk
}

/// One range, or none. What is no range of bytes is ignored, as HTTP has it; several ranges are too.
pub(crate) fn asked_range(headers: &HeaderMap, size: u64) -> Result<Option<std::ops::Range<u64>>, Refusal> {
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some(asked) = asked.and_then(RequestedRange::read_only) else {
        return Ok(None);
    };
    asked.within(size).map(Some).ok_or(Refusal::BadRange(size))
}
