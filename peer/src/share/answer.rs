//! The response with an object, or with one range of it, for another peer.

use std::ops::Range;

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use futures_util::TryStreamExt as _;
use prometheus_client::metrics::counter::Counter;
use store::About;
use wire::between_peers::{KIND_HEADER, MEDIA_TYPE_HEADER};

use super::refusal::ShareRefusal;
use crate::fetch::ReadableObject;
use crate::limits::{Class, Limits, Way};

/// Counts and paces the bytes that go to other peers.
pub(crate) struct Outgoing {
    pub(crate) sent: Counter,
    pub(crate) limits: Limits,
}

/// Returns the object, or the range of it that the request asks for.
pub(crate) async fn object_response(
    object: &ReadableObject,
    about: Option<About>,
    method: &Method,
    headers: &HeaderMap,
    outgoing: &Outgoing,
) -> Result<Response, ShareRefusal> {
    let size = object.size();
    let (status, range) = match requested_range(headers, size)? {
        Some(range) => (StatusCode::PARTIAL_CONTENT, range),
        None => (StatusCode::OK, 0..size),
    };
    let mut response = if method == Method::HEAD {
        Response::new(Body::empty())
    } else {
        // The reader has logged the disk's error.
        let bytes = object.read(range.clone()).await.map_err(|_| ShareRefusal::Disk)?;
        let sent = outgoing.sent.clone();
        let paced = outgoing.limits.paced(Way::ToPeer, bytes, || Class::Interactive);
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

/// Returns the one range that is asked for. Other units and several ranges are ignored, as RFC 9110 allows.
pub(crate) fn requested_range(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, ShareRefusal> {
    let asked = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes="))
        .and_then(|value| value.split_once('-'));
    let Some((first, last)) = asked else {
        return Ok(None);
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..size,
        (Err(_), Ok(length)) if first.trim().is_empty() => size.saturating_sub(length)..size,
        _ => return Ok(None),
    };
    if range.start < range.end {
        Ok(Some(range))
    } else {
        Err(ShareRefusal::BadRange(size))
    }
}
