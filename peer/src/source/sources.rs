//! One source, opened at a byte.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use oci::{BlobPart, Credential, Digest, Location, Registry, RegistryError, TagOrDigest};
use wire::{ObjectKind, Side};

use super::share_client::SharedObject;
use super::{ShareClient, ShareError, Sources};
use store::{ChunkHash, ChunkHashes};

pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// A source that answers, and what it says of the object.
pub(crate) struct Opened {
    /// `None` when a registry does not tell: its end is the end.
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<String>,
    /// Of each chunk of a part, where a seed tells them.
    pub(crate) hashes: Vec<ChunkHash>,
    pub(crate) pieces: Pieces,
}

/// A parent that answers, and the chunk hashes that it vouches for.
pub(crate) struct Vouched {
    pub(crate) opened: Opened,
    pub(crate) hashes: ChunkHashes,
}

/// Where the registry has the object, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct AtRegistry {
    pub(crate) location: Location,
    pub(crate) credential: Credential,
    /// What is said of the object's size.
    pub(crate) size_hint: Option<u64>,
}

/// Why a source gave nothing, or nothing more.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(crate) struct SourceError {
    pub(crate) side: Side,
    /// The same in one of a few words.
    pub(crate) word: &'static str,
    /// The same source may do better in a moment.
    pub(crate) passing: bool,
    pub(crate) text: String,
}

impl Sources {
    /// Opens a parent at `from`. One that vouches for no chunks is no parent.
    pub(crate) async fn parent(
        &self,
        url: &str,
        digest: &Digest,
        location: &Location,
        from: u64,
    ) -> Result<Vouched, SourceError> {
        let peers: &ShareClient = &self.peers;
        let (object, hashes) = tokio::try_join!(
            peers.object_from(url, digest, location, from),
            peers.chunks(url, digest, location)
        )?;
        if hashes.size() != object.size {
            return Err(ShareError::Nonsense("two sizes for one object").into());
        }
        let opened = opened(object);
        Ok(Vouched { opened, hashes })
    }

    /// Opens a seed that reads the registry for us, at `from`.
    pub(crate) async fn relay(
        &self,
        url: &str,
        origin: &AtRegistry,
        kind: ObjectKind,
        digest: &Digest,
        from: u64,
    ) -> Result<Opened, SourceError> {
        let object = self.peers.relay(url, origin, kind, digest, from).await?;
        Ok(opened(object))
    }

    /// All of an object at a peer, for whoever proves it at once.
    pub(crate) async fn whole(
        &self,
        url: &str,
        digest: &Digest,
        location: &Location,
    ) -> Result<Opened, SourceError> {
        Ok(opened(self.peers.object_from(url, digest, location, 0).await?))
    }

    /// Opens a part at a peer. Who checks the bytes has hashes from one that vouches.
    pub(crate) async fn parent_part(
        &self,
        url: &str,
        digest: &Digest,
        location: &Location,
        part: Range<u64>,
    ) -> Result<Opened, SourceError> {
        let object = self.peers.object(url, digest, location, Some(part));
        Ok(opened(object.await?))
    }

    /// Opens a part at a seed that reads the registry for us.
    pub(crate) async fn relay_part(
        &self,
        url: &str,
        origin: &AtRegistry,
        kind: ObjectKind,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<Opened, SourceError> {
        let object = self.peers.relay_part(url, origin, kind, digest, part).await?;
        Ok(opened(object))
    }

    /// The object's size, as a seed has it from the registry.
    pub(crate) async fn relay_size(
        &self,
        url: &str,
        origin: &AtRegistry,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<u64, SourceError> {
        Ok(self.peers.relay_size(url, origin, kind, digest).await?)
    }

    /// The object's size, as the registry tells it.
    pub(crate) async fn origin_size(
        &self,
        origin: &AtRegistry,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Option<u64>, SourceError> {
        let registry = self.registry(origin)?;
        match kind {
            ObjectKind::Manifest => {
                let wanted = TagOrDigest::Digest(digest.clone());
                let told = registry.manifest_head(&origin.location.repository, &wanted, &origin.credential);
                Ok(told.await?.size)
            }
            ObjectKind::Blob => {
                let told = registry.blob_head(&origin.location.repository, digest, &origin.credential);
                Ok(told.await?)
            }
        }
    }

    /// Opens a part at the registry.
    pub(crate) async fn origin_part(
        &self,
        origin: &AtRegistry,
        kind: ObjectKind,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<Opened, SourceError> {
        if kind == ObjectKind::Manifest {
            return self.origin(origin, kind, digest, part.start).await;
        }
        let wanted = BlobPart {
            from: part.start,
            until: Some(part.end),
        };
        let registry = self.registry(origin)?;
        let blob = registry.blob_part(&origin.location.repository, digest, wanted, &origin.credential);
        let blob = blob.await?;
        Ok(Opened {
            size: blob.total,
            media_type: None,
            hashes: Vec::new(),
            pieces: Box::pin(blob.stream.map(|piece| piece.map_err(SourceError::from))),
        })
    }

    fn registry(&self, origin: &AtRegistry) -> Result<Registry, SourceError> {
        let registries = self.around.registries();
        Ok(registries.registry(&origin.location.origin)?)
    }

    /// Opens the registry at `from`.
    pub(crate) async fn origin(
        &self,
        origin: &AtRegistry,
        kind: ObjectKind,
        digest: &Digest,
        from: u64,
    ) -> Result<Opened, SourceError> {
        let registry = self.registry(origin)?;
        match kind {
            ObjectKind::Manifest => {
                let wanted = TagOrDigest::Digest(digest.clone());
                let manifest = registry
                    .manifest(&origin.location.repository, &wanted, &origin.credential)
                    .await?;
                let skipped = usize::try_from(from)
                    .unwrap_or(usize::MAX)
                    .min(manifest.bytes.len());
                let rest = manifest.bytes.slice(skipped..);
                Ok(Opened {
                    size: Some(manifest.bytes.len() as u64),
                    media_type: Some(manifest.media_type),
                    hashes: Vec::new(),
                    pieces: Box::pin(stream::iter([Ok(rest)])),
                })
            }
            ObjectKind::Blob => {
                let blob = registry
                    .blob(&origin.location.repository, digest, from, &origin.credential)
                    .await?;
                Ok(Opened {
                    size: blob.total,
                    media_type: None,
                    hashes: Vec::new(),
                    pieces: Box::pin(blob.stream.map(|piece| piece.map_err(SourceError::from))),
                })
            }
        }
    }
}

fn opened(object: SharedObject) -> Opened {
    Opened {
        size: Some(object.size),
        media_type: object.media_type,
        hashes: object.chunk_hashes,
        pieces: Box::pin(object.bytes.map(|piece| piece.map_err(SourceError::from))),
    }
}

impl From<ShareError> for SourceError {
    fn from(error: ShareError) -> Self {
        let broke = matches!(error, ShareError::Broke(_) | ShareError::Silent(_));
        let network = broke || matches!(error, ShareError::Unreachable(_));
        Self {
            side: match error {
                ShareError::Denied(_) => Side::Caller,
                _ if network => Side::Network,
                _ => Side::Peer,
            },
            word: error.word(),
            passing: broke,
            text: error.to_string(),
        }
    }
}

impl From<RegistryError> for SourceError {
    fn from(error: RegistryError) -> Self {
        Self {
            side: match error.side() {
                oci::Side::Caller => Side::Caller,
                oci::Side::Registry => Side::Registry,
                oci::Side::Network => Side::Network,
            },
            word: error.error_type(),
            passing: error.is_worth_retrying(),
            text: format!("{error}; {}", error.what_to_do()),
        }
    }
}
