//! Records that the manager signs for the peers of one cluster: tag meanings and public objects. Seeds store and forward
//! them.
//!
//! **Invariant:** a record names its kind, cluster and location, and is valid for nothing else. Only its signature makes
//! it valid, not the peer that forwards it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::tree::{Hash, LONGEST_PATH, Tree, root_of};
use crate::{NotSigned, Record, Signed, TagRecord, VerifyingKey};

/// A tag meaning for the peers of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMeaning {
    pub cluster: String,
    #[serde(flatten)]
    pub record: TagRecord,
}

impl Record for TagMeaning {
    const KIND: &'static str = "tag-v1";
}

/// Public objects of a location: the registry delivered the image's manifest to an anonymous caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicObjects {
    pub cluster: String,
    /// `https://harbor.example.com/v2/library/nginx`
    pub location: String,
    /// The root of the Merkle tree over the objects' digests.
    root: Root,
    pub found_unix_ms: i64,
}

impl Record for PublicObjects {
    const KIND: &'static str = "public-v1";
}

/// Proves that a [`PublicObjects`] covers one object. Its size grows with the logarithm of the number of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicProof {
    record: Signed<PublicObjects>,
    path: Path,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Root(Hash);

/// At most [`LONGEST_PATH`] hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Path(Vec<Hash>);

impl PublicObjects {
    /// Returns `None` if there are no objects.
    pub fn over<'a>(
        cluster: &str,
        location: &str,
        digests: impl IntoIterator<Item = &'a str>,
        found_unix_ms: i64,
    ) -> Option<Self> {
        Some(Self {
            cluster: cluster.to_owned(),
            location: location.to_owned(),
            root: Root(Tree::over(digests)?.root()),
            found_unix_ms,
        })
    }
}

impl PublicProof {
    /// Returns one proof per object, in this order; empty unless the record covers exactly these objects.
    pub fn each(signed: &Signed<PublicObjects>, record: &PublicObjects, digests: &[&str]) -> Vec<Self> {
        let tree = Tree::over(digests.iter().copied());
        let Some(tree) = tree.filter(|tree| tree.root() == record.root.0) else {
            return Vec::new();
        };
        let proof = |at| Self {
            record: signed.clone(),
            path: Path(tree.path(at)),
        };
        (0..digests.len()).map(proof).collect()
    }

    /// Returns the record if this key signed it and it covers the object.
    pub fn verify(&self, key: &VerifyingKey, digest: &str) -> Result<PublicObjects, NotSigned> {
        let record = self.record.verify(key)?;
        let is_covered = root_of(digest, &self.path.0) == Some(record.root.0);
        if is_covered { Ok(record) } else { Err(NotSigned) }
    }
}

impl From<Root> for String {
    fn from(root: Root) -> Self {
        hex::encode(root.0)
    }
}

impl TryFrom<String> for Root {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut root = Hash::default();
        hex::decode_to_slice(text, &mut root).map_err(|_| "not a hash: expected 64 hexadecimal digits")?;
        Ok(Self(root))
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        BASE64.encode(path.0.concat())
    }
}

impl TryFrom<String> for Path {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(text).ok();
        let bytes = bytes.filter(|bytes| bytes.len() <= LONGEST_PATH * size_of::<Hash>());
        let (hashes, []) = bytes.as_deref().unwrap_or(&[0]).as_chunks() else {
            return Err("not a path: expected hashes of 32 bytes in base64");
        };
        Ok(Self(hashes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    const HERE: &str = "https://registry.lan/v2/library/nginx";

    fn key() -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()).expect("a key")
    }

    fn digests(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("sha256:{number:064x}")).collect()
    }

    fn proofs(key: &SigningKey, digests: &[String]) -> Vec<PublicProof> {
        let names: Vec<&str> = digests.iter().map(String::as_str).collect();
        let record = PublicObjects::over("default", HERE, names.iter().copied(), 7).expect("objects");
        PublicProof::each(&key.sign(&record).expect("signed"), &record, &names)
    }

    #[test]
    fn a_signed_record_covers_each_of_its_objects_and_no_other() {
        let (key, digests) = (key(), digests(20));
        let proofs = proofs(&key, &digests);
        for (digest, proof) in digests.iter().zip(&proofs) {
            let carried = serde_json::to_string(proof).expect("text");
            let proof: PublicProof = serde_json::from_str(&carried).expect("the same shape");
            let record = proof.verify(&key.verifying_key(), digest).expect("covered");
            assert_eq!((record.location.as_str(), record.found_unix_ms), (HERE, 7));
            let private = format!("sha256:{}", "f".repeat(64));
            assert_eq!(proof.verify(&key.verifying_key(), &private), Err(NotSigned));
            let another = self::key().verifying_key();
            assert_eq!(proof.verify(&another, digest), Err(NotSigned));
        }
        assert_eq!(
            proofs[0].verify(&key.verifying_key(), &digests[1]),
            Err(NotSigned)
        );
    }

    #[test]
    fn a_proof_stays_small_however_large_the_image_is() {
        let (key, digests) = (key(), digests(2_000));
        let longest = proofs(&key, &digests)
            .iter()
            .map(|proof| serde_json::to_string(proof).expect("text").len())
            .max();
        assert!(longest.is_some_and(|length| length < 1_024), "{longest:?}");
    }

    #[test]
    fn an_unsigned_list_has_no_proofs() {
        let (key, digests) = (key(), digests(3));
        let names: Vec<&str> = digests.iter().map(String::as_str).collect();
        let record = PublicObjects::over("default", HERE, names[..2].iter().copied(), 7).expect("objects");
        let signed = key.sign(&record).expect("signed");
        assert!(PublicProof::each(&signed, &record, &names).is_empty());
        assert!(PublicObjects::over("default", HERE, [], 7).is_none());
    }

    #[test]
    fn a_path_of_the_wrong_length_is_refused() {
        for bytes in [31, 33, 32 * (LONGEST_PATH + 1)] {
            let text = BASE64.encode(vec![0; bytes]);
            assert!(Path::try_from(text).is_err(), "{bytes}");
        }
        assert!(Path::try_from("%".to_owned()).is_err());
        assert_eq!(Path::try_from(String::new()), Ok(Path(Vec::new())));
    }

    #[test]
    fn a_record_of_one_kind_is_not_accepted_as_another() {
        let key = key();
        let tag = TagMeaning {
            cluster: "default".to_owned(),
            record: TagRecord {
                location: HERE.to_owned(),
                tag: "1.27".to_owned(),
                digest: digests(1).remove(0),
                media_type: String::new(),
                seen_unix_ms: 7,
            },
        };
        let signed = key.sign(&tag).expect("signed");
        assert_eq!(signed.verify(&key.verifying_key()), Ok(tag));
        let text = serde_json::to_string(&signed).expect("text");
        let as_public: Signed<PublicObjects> = serde_json::from_str(&text).expect("the same shape");
        assert_eq!(as_public.verify(&key.verifying_key()), Err(NotSigned));
    }
}
