//! Opens sources: parents, relays and registries, each at a byte of the object.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use oci::{BlobPart, Digest, Location, Registry, TagOrDigest};
use wire::ObjectKind;

use super::error::{ShareError, SourceError};
use super::registry_source::{RegistrySource, RestOf};
use super::share_client::{ShareClient, SharedObject};
use crate::limits::Limits;
use crate::neighbours::Surroundings;
use store::{ChunkHash, ChunkHashes};

/// How long one call waits for its turn at a registry that refuses by count. Its fetch asks again.
const TURN_WAIT: Duration = Duration::from_secs(30);

pub(crate) type SourceStream = Pin<Box<dyn Stream<Item = Result<Bytes, SourceError>> + Send>>;

/// Limit until a source is open: sign-in, redirects and headers, each with a limit of its own.
pub(crate) const OPEN_LIMIT: Duration = Duration::from_secs(90);

/// A source that answered: its size, hashes and bytes.
pub(crate) struct OpenSource {
    /// `None` when a registry does not send it: the stream's end is the object's end.
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<String>,
    /// Hashes of the chunks of a part, if a seed sent them.
    pub(crate) hashes: Vec<ChunkHash>,
    pub(crate) stream: SourceStream,
}

/// A parent that answered, and the chunk hashes that it vouches for.
pub(crate) struct VouchedSource {
    pub(crate) opened: OpenSource,
    pub(crate) hashes: ChunkHashes,
}

/// All possible sources of an object.
#[derive(Clone)]
pub struct Sources {
    pub(crate) peers: ShareClient,
    pub(crate) around: Arc<dyn Surroundings>,
    pub(crate) limits: Limits,
}

impl Sources {
    /// `http` calls other peers. Clients for registries are in [`Surroundings::registries`].
    pub fn new(http: reqwest::Client, around: impl Surroundings + 'static, limits: Limits) -> Self {
        let around: Arc<dyn Surroundings> = Arc::new(around);
        Self {
            peers: ShareClient::new(http, around.clone()),
            around,
            limits,
        }
    }

    /// Sets the client for requests that carry callers' credentials. They are sent to seeds only.
    #[must_use]
    pub fn calling_seeds_by(self, http: reqwest::Client) -> Self {
        let peers = self.peers.calling_seeds_by(http);
        Self { peers, ..self }
    }

    /// Limit until the registry is open, also through a seed.
    pub(crate) fn open_limit(&self, location: &Location) -> Duration {
        let header_wait = self.around.registries().header_wait(location.registry());
        OPEN_LIMIT.max(header_wait * 3)
    }

    /// The client for other peers' `share`.
    pub fn peers(&self) -> &ShareClient {
        &self.peers
    }
}

impl Sources {
    /// Opens a parent at `from`. Fails when the parent does not vouch for the chunks.
    pub(crate) async fn parent(
        &self,
        url: &str,
        digest: &Digest,
        location: &Location,
        from: u64,
    ) -> Result<VouchedSource, SourceError> {
        let peers: &ShareClient = &self.peers;
        let (object, hashes) = tokio::try_join!(
            peers.object_from(url, digest, location, from),
            peers.chunks(url, digest, location)
        )?;
        if hashes.size() != object.size {
            return Err(ShareError::BadResponse("two sizes for one object").into());
        }
        let opened = opened(object);
        Ok(VouchedSource { opened, hashes })
    }

    /// Opens a seed that relays the object from the registry, at `from`.
    pub(crate) async fn relay(
        &self,
        url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
        from: u64,
    ) -> Result<OpenSource, SourceError> {
        let object = self.peers.relay(url, at, kind, digest, from).await?;
        Ok(opened(object))
    }

    /// Opens a whole object at a peer. The caller proves it at once.
    pub(crate) async fn whole(
        &self,
        url: &str,
        digest: &Digest,
        location: &Location,
    ) -> Result<OpenSource, SourceError> {
        Ok(opened(self.peers.object_from(url, digest, location, 0).await?))
    }

    /// Opens a part at a peer. The caller checks the bytes by the hashes of a peer that vouches.
    pub(crate) async fn parent_part(
        &self,
        url: &str,
        digest: &Digest,
        location: &Location,
        part: Range<u64>,
    ) -> Result<OpenSource, SourceError> {
        let object = self.peers.object(url, digest, location, Some(part));
        Ok(opened(object.await?))
    }

    /// Opens a part at a seed that relays from the registry.
    pub(crate) async fn relay_part(
        &self,
        url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<OpenSource, SourceError> {
        let object = self.peers.relay_part(url, at, kind, digest, part).await?;
        Ok(opened(object))
    }

    /// Asks a seed for the object's size at the registry.
    pub(crate) async fn relay_size(
        &self,
        url: &str,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<u64, SourceError> {
        Ok(self.peers.relay_size(url, at, kind, digest).await?)
    }

    /// Asks the registry for the object's size.
    pub(crate) async fn registry_size(
        &self,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
    ) -> Result<Option<u64>, SourceError> {
        let registry = self.registry_client(at)?;
        match kind {
            ObjectKind::Manifest => {
                let by_digest = TagOrDigest::Digest(digest.clone());
                let size = registry.manifest_head(&at.location.repository, &by_digest, &at.credential);
                Ok(size.await?.size)
            }
            ObjectKind::Blob => {
                let size = registry.blob_head(&at.location.repository, digest, &at.credential);
                Ok(size.await?)
            }
        }
    }

    /// Opens a part at the registry.
    pub(crate) async fn registry_part(
        &self,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<OpenSource, SourceError> {
        if kind == ObjectKind::Manifest {
            return self.registry(at, kind, digest, part.start.into()).await;
        }
        let range = BlobPart {
            from: part.start,
            until: Some(part.end),
        };
        let registry = self.registry_client(at)?;
        let blob = registry.blob_part(&at.location.repository, digest, range, &at.credential);
        let blob = blob.await?;
        Ok(OpenSource {
            size: blob.total,
            media_type: None,
            hashes: Vec::new(),
            stream: Box::pin(blob.stream.map(|read| read.map_err(SourceError::from))),
        })
    }

    /// Whether a configured bandwidth makes transfers from this registry slow on purpose.
    pub(crate) fn slows_down(&self, location: &Location) -> bool {
        self.limits.current().slow_down(location.registry())
    }

    fn registry_client(&self, at: &RegistrySource) -> Result<Registry, SourceError> {
        let registry = self.around.registries().registry(&at.location.origin)?;
        if at.may_wait {
            return Ok(registry.with_patience(TURN_WAIT).counting_plain_503());
        }
        Ok(registry)
    }

    /// Opens the rest of the object at the registry.
    pub(crate) async fn registry(
        &self,
        at: &RegistrySource,
        kind: ObjectKind,
        digest: &Digest,
        rest: RestOf,
    ) -> Result<OpenSource, SourceError> {
        let registry = self.registry_client(at)?;
        match kind {
            ObjectKind::Manifest => {
                let by_digest = TagOrDigest::Digest(digest.clone());
                let manifest = registry
                    .manifest(&at.location.repository, &by_digest, &at.credential)
                    .await?;
                let skipped = usize::try_from(rest.from)
                    .unwrap_or(usize::MAX)
                    .min(manifest.bytes.len());
                let rest = manifest.bytes.slice(skipped..);
                Ok(OpenSource {
                    size: Some(manifest.bytes.len() as u64),
                    media_type: Some(manifest.media_type),
                    hashes: Vec::new(),
                    stream: Box::pin(stream::iter([Ok(rest)])),
                })
            }
            ObjectKind::Blob => {
                let blob = registry
                    .blob_part(&at.location.repository, digest, rest.range(), &at.credential)
                    .await?;
                Ok(OpenSource {
                    size: blob.total,
                    media_type: None,
                    hashes: Vec::new(),
                    stream: Box::pin(blob.stream.map(|read| read.map_err(SourceError::from))),
                })
            }
        }
    }
}

fn opened(object: SharedObject) -> OpenSource {
    OpenSource {
        size: Some(object.size),
        media_type: object.media_type,
        hashes: object.chunk_hashes,
        stream: Box::pin(object.bytes.map(|read| read.map_err(SourceError::from))),
    }
}
