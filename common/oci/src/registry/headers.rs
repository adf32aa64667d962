//! Headers of a response that more than one kind of request reads.

use http::{HeaderMap, header};

use crate::manifest::without_parameters;
use crate::text::tame;
use crate::{BadDigest, Digest, RegistryError, RequestedObject};

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

/// Refuses encoded bodies: their bytes have another digest and other offsets.
pub(super) fn check_coding(headers: &HeaderMap, requested: &RequestedObject) -> Result<(), RegistryError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            // The header may come from another host than the registry: only known words are repeated.
            let known = ["gzip", "deflate", "br", "zstd", "compress"];
            let known = known.into_iter().find(|known| coding == known);
            Err(RegistryError::BadAnswer {
                requested: requested.clone(),
                what: format!("its body is encoded ({})", known.unwrap_or("unknown encoding")),
            })
        }
        _ => Ok(()),
    }
}
