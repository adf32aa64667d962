//! Bodies that move as fast as the limits let them.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use oci::RegistryName;

use super::{Class, Limits};

/// Where bytes come from or go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    FromPeer,
    FromRegistry(RegistryName),
    ToPeer,
}

impl Limits {
    /// Each piece waits until it may move; the next one is asked for then only. `class` is asked for each piece: a
    /// prefetch that somebody begins to wait for is one no more.
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
        stream.then(move |piece| {
            let (limits, way, class) = (limits.clone(), way.clone(), class.clone());
            async move {
                if let Ok(bytes) = &piece {
                    limits.pass(&way, class(), bytes.len() as u64).await;
                }
                piece
            }
        })
    }

    /// Returns when these bytes may move this way.
    pub async fn pass(&self, way: &Way, class: Class, bytes: u64) {
        match way {
            Way::FromPeer => self.incoming(class, bytes).await,
            Way::ToPeer => self.outgoing(bytes).await,
            Way::FromRegistry(registry) => {
                self.origin(registry, class, bytes).await;
                self.incoming(class, bytes).await;
            }
        }
    }
}
