//! Objects that are small enough to be proven in memory: written in one step under their name.
//!
//! **Invariant:** [`ProvenBytes`] exist only for bytes that have the digest.

use std::fs::File;
use std::io::{self, Write as _};

use bytes::Bytes;
use oci::Digest;
use wire::ObjectKind;

use super::blocking::off_thread;
use super::chunks::{About, CHUNK, ChunkHashes};
use super::claims::WriteClaim;
use super::handle::Store;
use super::layout::remove_partial;
use super::sealed::Sealed;

/// Bytes that have the digest.
#[derive(Debug, Clone)]
pub struct ProvenBytes {
    digest: Digest,
    bytes: Bytes,
}

/// The bytes are not what the digest promises. They have been removed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bytes of {digest} have another digest: {found}")]
pub struct WrongBytes {
    pub digest: Digest,
    pub found: Digest,
}

impl ProvenBytes {
    /// Checks the digest: some hundred microseconds for each 100 KiB.
    pub fn prove(digest: &Digest, bytes: Bytes) -> Result<Self, WrongBytes> {
        let found = digest.of_same_algorithm(&bytes);
        if found == *digest {
            let digest = found;
            Ok(Self { digest, bytes })
        } else {
            let digest = digest.clone();
            Err(WrongBytes { digest, found })
        }
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Store {
    /// Makes the object durable, then gives it its name.
    pub async fn keep(
        &self,
        proven: ProvenBytes,
        media_type: Option<String>,
        kind: ObjectKind,
    ) -> io::Result<Sealed> {
        let ProvenBytes { digest, bytes } = proven;
        let claim = WriteClaim::take(self.0.claims.clone(), &digest)?;
        let hashes = bytes
            .chunks(usize::try_from(CHUNK).unwrap_or(usize::MAX))
            .map(|chunk| *blake3::hash(chunk).as_bytes());
        let hashes = ChunkHashes::new(bytes.len() as u64, hashes.collect())
            .ok_or_else(|| io::Error::other("chunk hashes do not fit the object"))?;
        let about = About {
            media_type,
            kind,
            size: bytes.len() as u64,
        };
        let sealed = self.write(&digest, bytes, about, hashes).await;
        if sealed.is_err() {
            // On a full disk the file would take room that others wait for.
            let (layout, gone) = (self.layout().clone(), digest.clone());
            off_thread(move || remove_partial(&layout, &gone)).await?;
        }
        drop(claim);
        sealed
    }

    async fn write(
        &self,
        digest: &Digest,
        bytes: Bytes,
        about: About,
        hashes: ChunkHashes,
    ) -> io::Result<Sealed> {
        let path = self.layout().partial(digest);
        let file = off_thread(move || {
            let mut file = File::create(path)?;
            file.write_all(&bytes)?;
            Ok(file)
        })
        .await?;
        self.seal(digest, file.into(), about, hashes).await
    }
}
