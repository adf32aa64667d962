//! What peers say to each other: paths, headers and lines of `share` and `relay`, and how kinds and hashes are written.
//!
//! **Invariant:** both sides use these names. Nothing in here decides: who may ask and what is believed is for the
//! side that answers, and for the side that checks the bytes.

use serde::{Deserialize, Serialize};

use crate::ObjectKind;

/// GET, HEAD: the bytes of an object that the peer holds whole, or a range of them.
pub const OBJECT: &str = "/share/v1/objects/{digest}";
/// GET: BLAKE3 of every chunk, 32 bytes each.
pub const CHUNKS: &str = "/share/v1/objects/{digest}/chunks";
/// GET: a part of an object that may still be on its way.
pub const PIECE: &str = "/share/v1/objects/{digest}/piece";
/// GET: lines of [`News`] while the object is fetched.
pub const CROWD: &str = "/share/v1/objects/{digest}/crowd";
/// GET -> `Signed<`[`crate::TagMeaning`]`>`: what a tag meant last, signed by the manager.
pub const TAGS: &str = "/share/v1/tags";
/// GET -> [`crate::PublicProof`]: that anybody may read an object, signed by the manager.
pub const PUBLIC: &str = "/share/v1/public";
/// GET, HEAD: an object that a seed reads from the registry for the caller.
pub const RELAY: &str = "/relay/v1/objects/{digest}";

/// GET: finds out whether the location that the request names delivers the object that both hold; 204 if it does.
pub const DELIVERY: &str = "/relay/v1/objects/{digest}/delivery";

pub const MEDIA_TYPE_HEADER: &str = "stoker-media-type";
/// [`ObjectKind::word`].
pub const KIND_HEADER: &str = "stoker-kind";
pub const SIZE_HEADER: &str = "stoker-size";
/// Milliseconds that the asking peer waits for chunks that are on their way.
pub const WAIT_HEADER: &str = "stoker-wait-ms";
/// Where the asking peer's `share` answers; a `*` for the host means: where the request came from.
pub const SHARE_URL_HEADER: &str = "stoker-share-url";
/// The rack or site of the asking peer.
pub const ZONE_HEADER: &str = "stoker-zone";

/// The repository that the object is wanted from: `https://harbor.example.com/v2/library/nginx`.
pub const LOCATION_HEADER: &str = "stoker-location";
/// [`PARTS`] unless all of the object is to be fetched.
pub const EXTENT_HEADER: &str = "stoker-extent";
pub const PARTS: &str = "parts";
/// BLAKE3 of each chunk of a part, with commas between them.
pub const CHUNK_HASHES_HEADER: &str = "stoker-chunk-hashes";
/// The caller's credential for the registry: a secret.
pub const AUTHORIZATION_HEADER: &str = "stoker-registry-authorization";

/// Bytes of one chunk's hash.
pub const HASH_LENGTH: usize = 32;
/// BLAKE3 of one chunk.
pub type ChunkHash = [u8; HASH_LENGTH];

/// One line of the feed about who else fetches an object.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// What the peer that asks is called among the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<String>,
    /// All others, when they have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siblings: Option<Vec<String>>,
    /// Number and BLAKE3 of chunks that are here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<(u64, String)>,
}

impl ObjectKind {
    /// How a kind is written in a header.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
        }
    }

    /// Reads [`Self::word`]; anything else is a blob.
    pub fn of_word(word: Option<&str>) -> Self {
        match word {
            Some("manifest") => Self::Manifest,
            _ => Self::Blob,
        }
    }
}

/// Reads 64 hexadecimal digits.
pub fn read_hash(text: &str) -> Option<ChunkHash> {
    let mut hash = [0; HASH_LENGTH];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = [0xa7; HASH_LENGTH];
        assert_eq!(read_hash(&hex::encode(hash)), Some(hash));
        for bad in ["", "a7", &"zz".repeat(HASH_LENGTH), &"a7".repeat(HASH_LENGTH + 1)] {
            assert_eq!(read_hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in [ObjectKind::Manifest, ObjectKind::Blob] {
            assert_eq!(ObjectKind::of_word(Some(kind.word())), kind);
        }
        assert_eq!(ObjectKind::of_word(None), ObjectKind::Blob);
    }
}
