//! The protocol between peers: paths, headers and feed lines of `share` and `relay`, and the text of kinds and hashes.
//!
//! **Invariant:** both sides use these names. Nothing here decides: the serving peer checks access, and the reading peer
//! verifies the bytes.

use serde::{Deserialize, Serialize};

use crate::ObjectKind;

/// GET, HEAD: the bytes, or a range, of an object that the peer holds whole.
pub const OBJECT: &str = "/share/v1/objects/{digest}";
/// GET: BLAKE3 of every chunk, 32 bytes each.
pub const CHUNKS: &str = "/share/v1/objects/{digest}/chunks";
/// GET: a part of an object that may still be in transfer.
pub const PIECE: &str = "/share/v1/objects/{digest}/piece";
/// GET: lines of [`News`] while the object is fetched.
pub const CROWD: &str = "/share/v1/objects/{digest}/crowd";
/// GET -> `Signed<`[`crate::TagMeaning`]`>`: the last known meaning of a tag, signed by the manager.
pub const TAGS: &str = "/share/v1/tags";
/// GET -> [`crate::PublicProof`]: proof that an object is public, signed by the manager.
pub const PUBLIC: &str = "/share/v1/public";
/// GET, HEAD: an object that a seed reads from the registry for the caller.
pub const RELAY: &str = "/relay/v1/objects/{digest}";

/// GET: checks whether the requested location delivers an object that both peers hold; 204 if it does.
pub const DELIVERY: &str = "/relay/v1/objects/{digest}/delivery";

pub const MEDIA_TYPE_HEADER: &str = "stoker-media-type";
/// [`ObjectKind::word`].
pub const KIND_HEADER: &str = "stoker-kind";
pub const SIZE_HEADER: &str = "stoker-size";
/// Milliseconds that the requesting peer waits for chunks in transfer.
pub const WAIT_HEADER: &str = "stoker-wait-ms";
/// URL of the requesting peer's `share`; the host `*` means the address that the request came from.
pub const SHARE_URL_HEADER: &str = "stoker-share-url";
/// The rack or site of the requesting peer.
pub const ZONE_HEADER: &str = "stoker-zone";

/// The location of the object: `https://harbor.example.com/v2/library/nginx`.
pub const LOCATION_HEADER: &str = "stoker-location";
/// [`PARTS`], unless the whole object is requested.
pub const EXTENT_HEADER: &str = "stoker-extent";
pub const PARTS: &str = "parts";
/// BLAKE3 of each chunk of a part, separated by commas.
pub const CHUNK_HASHES_HEADER: &str = "stoker-chunk-hashes";
/// The caller's `Authorization` value for the registry; secret.
pub const AUTHORIZATION_HEADER: &str = "stoker-registry-authorization";

/// Bytes of one chunk's hash.
pub const HASH_LENGTH: usize = 32;
/// BLAKE3 of one chunk.
pub type ChunkHash = [u8; HASH_LENGTH];

/// One line of the feed about the other peers that fetch an object.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The name of the requesting peer in this feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<String>,
    /// All other peers, if they have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siblings: Option<Vec<String>>,
    /// Number and BLAKE3 of available chunks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<(u64, String)>,
}

impl ObjectKind {
    /// Returns the text of a kind in headers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
        }
    }

    /// Parses [`Self::word`]; anything else is a blob.
    pub fn of_word(word: Option<&str>) -> Self {
        match word {
            Some("manifest") => Self::Manifest,
            _ => Self::Blob,
        }
    }
}

/// Parses 64 hexadecimal digits.
pub fn read_hash(text: &str) -> Option<ChunkHash> {
    let mut hash = [0; HASH_LENGTH];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_parses_to_itself() {
        let hash = [0xa7; HASH_LENGTH];
        assert_eq!(read_hash(&hex::encode(hash)), Some(hash));
        for bad in ["", "a7", &"zz".repeat(HASH_LENGTH), &"a7".repeat(HASH_LENGTH + 1)] {
            assert_eq!(read_hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_kind_parses_to_itself() {
        for kind in [ObjectKind::Manifest, ObjectKind::Blob] {
            assert_eq!(ObjectKind::of_word(Some(kind.word())), kind);
        }
        assert_eq!(ObjectKind::of_word(None), ObjectKind::Blob);
    }
}
