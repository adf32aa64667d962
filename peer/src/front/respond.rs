//! Responses of the distribution specification.
//!
//! **Invariant:** every response has a `Content-Length`. An incomplete body ends its connection: it is never chunked or
//! padded.

use std::ops::Range;

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oci::Digest;

use super::range::{Multipart, RequestedPart, is_open_ended, part};
use crate::access::{error_response, json_response};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Returns the response to `/v2/`: this is a registry of API version 2.
pub(crate) fn version_two() -> Response {
    let mut response = json_response(StatusCode::OK, "{}".to_owned());
    name_the_version(&mut response);
    response
}

pub(crate) fn name_the_version(response: &mut Response) {
    response.headers_mut().insert(
        "docker-distribution-api-version",
        HeaderValue::from_static("registry/2.0"),
    );
}

/// Returns the part of an object that a request gets: the whole one if `If-Range` holds anything but this object's own
/// tag (another tag, a weak one, a date).
pub(crate) fn wanted_part(headers: &HeaderMap, digest: &Digest, size: u64) -> RequestedPart {
    let is_of_another = |tag: &HeaderValue| tag.as_bytes() != entity_tag(digest).as_bytes();
    if headers.get_all(IF_RANGE).iter().any(is_of_another) {
        return RequestedPart::Whole;
    }
    let mut ranges = headers.get_all(RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => part(range.to_str().ok(), size),
        // Two such headers are ignored.
        _ => RequestedPart::Whole,
    }
}

/// Returns whether a range is open-ended, as after a broken transfer.
pub(crate) fn asks_for_the_rest(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(RANGE).iter();
    let mut texts = ranges.filter_map(|range| range.to_str().ok());
    texts.any(is_open_ended)
}

/// Returns whether the caller has this object (`If-None-Match`). Objects with a digest never change.
pub(crate) fn is_unchanged(headers: &HeaderMap, digest: &Digest) -> bool {
    let own = entity_tag(digest);
    let names_it = |tag: &str| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own
    };
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.split(',').any(names_it))
}

/// Returns 304: the caller has the object.
pub(crate) fn unchanged(digest: &Digest) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    insert(&mut response, ETAG, &entity_tag(digest));
    insert(&mut response, CONTENT_DIGEST, digest.as_str());
    response
}

fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// The head of a response with an object.
pub(crate) struct ObjectHead<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) size: u64,
    pub(crate) media_type: &'a str,
}

impl ObjectHead<'_> {
    /// Returns the whole object, or its headers alone.
    pub(crate) fn whole(&self, body: Body) -> Response {
        self.answer(StatusCode::OK, self.size, self.media_type, body)
    }

    pub(crate) fn part(&self, range: &Range<u64>, body: Body) -> Response {
        let mut response = self.answer(
            StatusCode::PARTIAL_CONTENT,
            range.end.saturating_sub(range.start),
            self.media_type,
            body,
        );
        let value = format!(
            "bytes {}-{}/{}",
            range.start,
            range.end.saturating_sub(1),
            self.size
        );
        insert(&mut response, CONTENT_RANGE, &value);
        response
    }

    /// Returns the parts of a response with several ranges.
    pub(crate) fn many(&self, parts: Vec<Range<u64>>) -> Multipart {
        Multipart::new(parts, self.size, self.media_type, rand::random())
    }

    pub(crate) fn parts(&self, parts: &Multipart, body: Body) -> Response {
        self.answer(
            StatusCode::PARTIAL_CONTENT,
            parts.length(),
            &parts.media_type(),
            body,
        )
    }

    /// Returns 416: the range begins after the end.
    pub(crate) fn nothing(&self) -> Response {
        let text = format!("the object has {} bytes", self.size);
        let mut response = error_response(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", &text);
        insert(&mut response, CONTENT_RANGE, &format!("bytes */{}", self.size));
        response
    }

    fn answer(&self, status: StatusCode, length: u64, media_type: &str, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        insert(&mut response, CONTENT_LENGTH, &length.to_string());
        insert(&mut response, CONTENT_TYPE, media_type);
        insert(&mut response, CONTENT_DIGEST, self.digest.as_str());
        insert(&mut response, ETAG, &entity_tag(self.digest));
        insert(&mut response, ACCEPT_RANGES, "bytes");
        response
    }
}

/// Leaves a value out that no header can hold.
fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
