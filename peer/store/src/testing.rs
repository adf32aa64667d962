//! Contents of stores for tests.

use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Location};
use wire::{
    ObjectKind, PublicObjects, PublicProof, Record, Signed, SigningKey, TagMeaning, TagRecord, VerifyingKey,
};

use super::chunks::CHUNK;
use super::handle::Store;
use super::sealed::Sealed;

/// Bytes without repetition; the same for the same length.
pub fn bytes(length: u64) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    words.take(length).collect()
}

/// Puts a blob into the store.
///
/// # Panics
/// When the disk refuses.
pub async fn seal(store: &Store, object: &Bytes) -> Sealed {
    seal_as(store, object, &Digest::of(object)).await
}

/// Puts a blob into the store under this digest of its bytes.
///
/// # Panics
/// When the disk refuses.
#[expect(clippy::expect_used, reason = "a test cannot continue then")]
pub async fn seal_as(store: &Store, object: &Bytes, digest: &Digest) -> Sealed {
    let partial = store.partial(digest).await.expect("a partial");
    for block in object.chunks(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
        let block = Bytes::copy_from_slice(block);
        partial.append(block).await.expect("landed");
    }
    let proven = partial.prove().await.expect("read").expect("the right bytes");
    let sealed = proven.seal(Some("application/x".to_owned()), ObjectKind::Blob);
    sealed.await.expect("sealed")
}

/// Signs records as a manager does, for the peers of one cluster.
#[derive(Clone)]
pub struct Signer {
    key: Arc<SigningKey>,
    cluster: String,
}

#[expect(clippy::expect_used, reason = "a test cannot continue then")]
impl Signer {
    /// A manager with a key of its own.
    ///
    /// # Panics
    /// When the operating system has no randomness.
    pub fn of(cluster: &str) -> Self {
        Self {
            key: Arc::new(SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()).expect("a key")),
            cluster: cluster.to_owned(),
        }
    }

    /// The same manager, signing for another cluster.
    #[must_use]
    pub fn for_cluster(&self, cluster: &str) -> Self {
        Self {
            key: Arc::clone(&self.key),
            cluster: cluster.to_owned(),
        }
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// # Panics
    /// When the record has no text.
    pub fn sign<T: Record>(&self, record: &T) -> Signed<T> {
        self.key.sign(record).expect("signed")
    }

    /// Signs that anybody may read the objects of a lot at this location.
    ///
    /// # Panics
    /// When there are no objects.
    pub fn public_lot(&self, digests: &[&str], location: &Location, found_ms: i64) -> Signed<PublicObjects> {
        let (cluster, location) = (&self.cluster, location.to_string());
        let digests = digests.iter().copied();
        self.sign(&PublicObjects::over(cluster, &location, digests, found_ms).expect("objects"))
    }

    /// A proof that anybody may read the object at this location.
    ///
    /// # Panics
    /// When the signature does not hold.
    pub fn public(&self, digest: &Digest, location: &Location, found_ms: i64) -> PublicProof {
        let digests = ["sha256:beside", digest.as_str()];
        let signed = self.public_lot(&digests, location, found_ms);
        let record = signed.verify(&self.verifying_key()).expect("our own");
        PublicProof::each(&signed, &record, &digests).remove(1)
    }

    /// Signs what a tag means.
    pub fn tag(&self, record: &TagRecord) -> Signed<TagMeaning> {
        let (cluster, record) = (self.cluster.clone(), record.clone());
        self.sign(&TagMeaning { cluster, record })
    }
}
