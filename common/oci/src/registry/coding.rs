//! Content codings: a registry may label a body with one, whether or not it encoded the body.
//!
//! **Invariant:** the digest decides. Bytes are used as they came, whatever the label says. Only a manifest is decoded,
//! and only if the decoded bytes have the digest that was promised.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};

use crate::Digest;

/// Labels that never change a body.
const LABELS: [&str; 3] = ["identity", "aws-chunked", ""];
const GZIP: [&str; 2] = ["gzip", "x-gzip"];

/// A manifest's body as the registry sent it, and what its headers say about it.
pub struct ManifestBody<'a> {
    pub bytes: Bytes,
    pub headers: &'a HeaderMap,
    /// The largest manifest that is accepted, also decoded.
    pub limit: usize,
}

/// Why a manifest's body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBody {
    /// Its digest is not the expected one.
    OtherDigest { expected: Digest, found: Digest },
    /// It is encoded, and no digest shows that the decoded bytes are right.
    Encoded(&'static str),
}

impl ManifestBody<'_> {
    /// Returns the bytes. Each digest of `promised` is theirs, by its own algorithm.
    pub fn verified(self, promised: &[Digest]) -> Result<Bytes, BadBody> {
        let coding = self.coding();
        let have_all = |bytes: &[u8]| promised.iter().all(|one| one.of_same_algorithm(bytes) == *one);
        let other = promised
            .iter()
            .find(|one| one.of_same_algorithm(&self.bytes) != **one);
        match (other, coding) {
            // Without a digest, the label is all that is known.
            (None, Some(coding)) if promised.is_empty() => Err(BadBody::Encoded(coding)),
            (None, _) => Ok(self.bytes),
            (Some(_), Some("gzip")) => decoded(&self.bytes, self.limit)
                .filter(|bytes| have_all(bytes))
                .ok_or(BadBody::Encoded("gzip")),
            (Some(_), Some(coding)) => Err(BadBody::Encoded(coding)),
            (Some(expected), None) => Err(BadBody::OtherDigest {
                expected: expected.clone(),
                found: expected.of_same_algorithm(&self.bytes),
            }),
        }
    }

    /// Returns the coding that the body may have. The header may come from another host than the registry: only known
    /// words are repeated.
    fn coding(&self) -> Option<&'static str> {
        let values = self.headers.get_all(header::CONTENT_ENCODING).iter();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let values: Vec<String> = values.map(text).collect();
        let names = values.iter().flat_map(|value| value.split(',')).map(str::trim);
        let names: Vec<&str> = names.filter(|name| !LABELS.contains(name)).collect();
        match names.as_slice() {
            [] => None,
            [only] if GZIP.contains(only) => Some("gzip"),
            [only] => {
                let known = ["deflate", "br", "zstd", "compress"];
                Some(
                    known
                        .into_iter()
                        .find(|known| known == only)
                        .unwrap_or("unknown encoding"),
                )
            }
            _ => Some("several encodings"),
        }
    }
}

/// Returns what is inside, unless that is more than `limit` bytes.
fn decoded(bytes: &[u8], limit: usize) -> Option<Bytes> {
    let mut inside = Vec::new();
    let at_most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(at_most)
        .read_to_end(&mut inside)
        .ok()?;
    (inside.len() <= limit).then(|| inside.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const PLAIN: &[u8] = b"{\"schemaVersion\":2}";

    fn gzipped(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory").into()
    }

    fn verified(bytes: impl Into<Bytes>, coding: &str, promised: &[Digest]) -> Result<Bytes, BadBody> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, coding.parse().expect("a header"));
        let body = ManifestBody {
            bytes: bytes.into(),
            headers: &headers,
            limit: 1_000,
        };
        body.verified(promised)
    }

    #[test]
    fn bytes_with_the_promised_digest_are_taken_whatever_their_label() {
        for coding in [
            "gzip",
            "X-Gzip",
            "Identity",
            "aws-chunked",
            "br",
            "aws-chunked, gzip",
            "junk",
        ] {
            let promised = [Digest::of(PLAIN)];
            assert_eq!(
                verified(PLAIN, coding, &promised),
                Ok(Bytes::from_static(PLAIN)),
                "{coding}"
            );
        }
    }

    #[test]
    fn a_label_alone_changes_nothing() {
        for coding in ["identity", "Identity", "aws-chunked", "AWS-Chunked, identity"] {
            assert_eq!(
                verified(PLAIN, coding, &[]),
                Ok(Bytes::from_static(PLAIN)),
                "{coding}"
            );
        }
    }

    #[test]
    fn a_gzipped_manifest_is_decoded_only_if_its_digest_is_promised() {
        let promised = [Digest::of(PLAIN)];
        for coding in ["gzip", "x-gzip"] {
            assert_eq!(
                verified(gzipped(PLAIN), coding, &promised),
                Ok(Bytes::from_static(PLAIN))
            );
        }
        assert_eq!(
            verified(gzipped(PLAIN), "gzip", &[]),
            Err(BadBody::Encoded("gzip"))
        );
        let other = [Digest::of(b"other")];
        assert_eq!(
            verified(gzipped(PLAIN), "gzip", &other),
            Err(BadBody::Encoded("gzip"))
        );
        let two = [Digest::of(PLAIN), Digest::of(b"other")];
        assert_eq!(
            verified(gzipped(PLAIN), "gzip", &two),
            Err(BadBody::Encoded("gzip"))
        );
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let large = vec![b' '; 1_000_000];
        let promised = [Digest::of(&large)];
        assert_eq!(
            verified(gzipped(&large), "gzip", &promised),
            Err(BadBody::Encoded("gzip"))
        );
    }

    #[test]
    fn other_codings_are_named_only_if_they_are_known() {
        let promised = [Digest::of(b"other")];
        assert_eq!(verified(PLAIN, "zstd", &promised), Err(BadBody::Encoded("zstd")));
        assert_eq!(
            verified(PLAIN, "s3cret", &promised),
            Err(BadBody::Encoded("unknown encoding"))
        );
    }
}
