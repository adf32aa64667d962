//! Streams that move as fast as the limits allow.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use oci::RegistryName;

use super::{Class, Limits};

/// The direction of bytes, and their source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    FromPeer,
    FromRegistry(RegistryName),
    ToPeer,
}

impl Limits {
    /// Each item waits until it may move; only then the next one is read. `class` is called for each item: a
    /// prefetch that a reader begins to wait for becomes interactive.
    pub fn paced<S, E, F>(
        &self,
        way: Way,
        stream: S,
        class: F,
    ) -> impl Stream<Item = Result<Bytes, E>> + Send + use<S, E, F>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Send,
        F: Fn() -> Class + Clone + Send + Sync,
    {
        let limits = self.clone();
        stream.then(move |bytes| {
            let (limits, way, class) = (limits.clone(), way.clone(), class.clone());
            async move {
                if let Ok(some) = &bytes {
                    limits.pass(&way, class(), some.len() as u64).await;
                }
                bytes
            }
        })
    }

    /// Waits until these bytes may move this way.
    pub async fn pass(&self, way: &Way, class: Class, bytes: u64) {
        match way {
            Way::FromPeer => self.incoming(class, bytes).await,
            Way::ToPeer => self.outgoing(bytes).await,
            Way::FromRegistry(registry) => {
                self.registry(registry, class, bytes).await;
                self.incoming(class, bytes).await;
            }
        }
    }
}
