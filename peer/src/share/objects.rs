//! Whole objects, ranges of them, and their chunk hashes.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use oci::{Digest, RequestedRange};
use store::{CHUNK, Sealed, off_thread, read_at};
use tracing::{Span, warn};
use wire::between_peers::{SIZE_HEADER, WAIT_HEADER};

use super::answer::object_response;
use super::refusal::ShareRefusal;
use super::state::{ShareState, delivered, location};
use crate::fetch::{PartialReader, ReadableObject};

const WAIT_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn object(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ShareRefusal> {
    let digest = digest_in(&state, &digest)?;
    Span::current().record("stoker.digest", digest.as_str());
    let available = if let Some(sealed) = delivered(&state, &digest, &headers) {
        AvailableObject::Whole(sealed)
    } else {
        let location = location(&headers).ok_or(ShareRefusal::NoLocation)?;
        AvailableObject::Partly(state.partial_reader_from(&digest, &location))
    };
    respond(&state, available, &method, &headers).await
}

/// Serves a range of chunks to a peer that has their hashes from another peer, which checked the location.
pub(super) async fn piece(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ShareRefusal> {
    let digest = digest_in(&state, &digest)?;
    let available = match state.store.sealed(&digest) {
        Some(sealed) => AvailableObject::Whole(sealed),
        None => AvailableObject::Partly(state.partial_reader(&digest)),
    };
    respond(&state, available, &method, &headers).await
}

/// What this peer holds of an object.
enum AvailableObject {
    Whole(Sealed),
    Partly(Option<PartialReader>),
}

/// Returns the digest in the path. A blocked object counts as not held.
fn digest_in(state: &ShareState, digest: &str) -> Result<Digest, ShareRefusal> {
    let digest: Digest = digest.parse().map_err(|_| ShareRefusal::NotADigest)?;
    if state.store.is_blocked(&digest) {
        return Err(ShareRefusal::NotHeld);
    }
    Ok(digest)
}

async fn respond(
    state: &ShareState,
    available: AvailableObject,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ShareRefusal> {
    let sealed = match available {
        AvailableObject::Whole(sealed) => sealed,
        AvailableObject::Partly(partly) => return part_of(state, partly, headers).await,
    };
    let about = state.store.about(&sealed.digest);
    object_response(
        &ReadableObject::Sealed(sealed),
        about,
        method,
        headers,
        &state.outgoing(),
    )
    .await
}

/// Serves a landed range of an object that is being fetched.
async fn part_of(
    state: &ShareState,
    partly: Option<PartialReader>,
    headers: &HeaderMap,
) -> Result<Response, ShareRefusal> {
    let range = closed_range(headers).ok_or(ShareRefusal::NotHeld)?;
    let mut partly = partly.ok_or(ShareRefusal::NotHeld)?;
    let part = partly.part(range.clone(), wait(headers)).await;
    let (file, size) = part.ok_or(ShareRefusal::NotHeld)?;
    let range = range.start..range.end.min(size);
    if range.is_empty() {
        return Err(ShareRefusal::BadRange(size));
    }
    let length = range.end - range.start;
    let bytes = read_at(file, range.start, length)
        .await
        .map_err(|_| ShareRefusal::Disk)?;
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

/// Returns how long the calling peer waits for chunks that have not landed yet.
fn wait(headers: &HeaderMap) -> Duration {
    let asked = headers
        .get(WAIT_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    asked
        .map_or(Duration::ZERO, Duration::from_millis)
        .min(WAIT_LIMIT)
}

/// Returns the range that is asked for, if it is at most one chunk long.
fn closed_range(headers: &HeaderMap) -> Option<std::ops::Range<u64>> {
    let value = headers.get(RANGE)?.to_str().ok()?;
    let RequestedRange::Closed(first, last) = RequestedRange::read_only(value)? else {
        return None;
    };
    let range = first..last.checked_add(1)?;
    (range.end - range.start <= CHUNK).then_some(range)
}

pub(super) async fn chunks(
    State(state): State<ShareState>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ShareRefusal> {
    let sealed = find(&state, &digest, &headers)?;
    let reading = sealed.clone();
    let hashes = off_thread(move || reading.chunk_hashes())
        .await
        .map_err(|error| disk(&sealed, &error))?;
    let headers = [(SIZE_HEADER, sealed.size.to_string())];
    Ok((headers, hashes.to_bytes()).into_response())
}

fn find(state: &ShareState, digest: &str, headers: &HeaderMap) -> Result<Sealed, ShareRefusal> {
    let digest = digest_in(state, digest)?;
    delivered(state, &digest, headers).ok_or(ShareRefusal::NotHeld)
}

fn disk(sealed: &Sealed, error: &std::io::Error) -> ShareRefusal {
    warn!(stoker.digest = %sealed.digest, stoker.side = "peer", %error, "sealed object could not be read");
    ShareRefusal::Disk
}
