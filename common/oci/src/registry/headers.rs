//! Headers of a response that more than one kind of request reads.

use http::{HeaderMap, header};

use crate::manifest::without_parameters;
use crate::text::tame;
use crate::{Digest, RegistryError, RequestedObject};

/// A digest of another algorithm says nothing to us.
pub(super) fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
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

/// We ask for bytes as they are. Coded ones would have another digest and other offsets.
pub(super) fn check_coding(headers: &HeaderMap, asked: &RequestedObject) -> Result<(), RegistryError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            // The words of an answer may be another host's than the registry's: only ours are repeated.
            let known = ["gzip", "deflate", "br", "zstd", "compress"];
            let known = known.into_iter().find(|known| coding == known);
            Err(RegistryError::BadAnswer {
                asked: asked.clone(),
                what: format!("its bytes are coded ({})", known.unwrap_or("in an unknown way")),
            })
        }
        _ => Ok(()),
    }
}
