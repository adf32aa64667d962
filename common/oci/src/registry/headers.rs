//! Headers of a response that more than one kind of request reads.

use http::{HeaderMap, StatusCode, header};

use crate::manifest::without_parameters;
use crate::text::tame;
use crate::{BadDigest, Digest};

/// Returns the digest that the response names, or why it cannot be used.
pub(super) fn digest_header(headers: &HeaderMap) -> Option<Result<Digest, BadDigest>> {
    Some(headers.get("docker-content-digest")?.to_str().ok()?.parse())
}

pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    tame(without_parameters(value.unwrap_or_default()), 255)
}

pub(super) fn number(headers: &HeaderMap, name: &header::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Whether a refusal may be about the method HEAD alone: some servers do not know it, some proxies answer 404 until a
/// GET, and some storages sign addresses for GET only.
pub fn may_be_about_head(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
    )
}
