//! Follows a seed's feed of the peers that fetch an object and of the chunks that the seed has.
//!
//! **Invariant:** the feed is not proven. It is used only to choose sources; bytes are always checked.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use oci::{Digest, Location};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;
use wire::between_peers::{News, read_hash};

use super::error::ShareError;
use super::share_client::ShareClient;
use store::ChunkHash;

/// The seed writes a line every few seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// The longest line: some hundred hashes, some dozen names.
const LINE_LIMIT: usize = 256 * 1024;
/// The number of chunks of an object of 1 TiB.
const CHUNKS_LIMIT: usize = 1024 * 1024;

/// What a seed has reported so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CrowdView {
    /// The name of this peer among the siblings.
    pub(crate) me: String,
    /// Peers that fetch the same object, or have just done so.
    pub(crate) siblings: Vec<String>,
    /// Hashes of the chunks that the seed has, from the first one on.
    pub(crate) hashes: Vec<ChunkHash>,
    /// The feed has ended.
    pub(crate) is_over: bool,
}

/// Follows the feed while it exists.
pub(crate) struct CrowdFeed {
    crowd: watch::Receiver<CrowdView>,
    _task: JoinSet<()>,
}

impl CrowdFeed {
    pub(crate) fn open(peers: &ShareClient, seed: &str, digest: &Digest, location: &Location) -> Self {
        let (crowd_sender, crowd) = watch::channel(CrowdView::default());
        let (peers, seed, digest) = (peers.clone(), seed.to_owned(), digest.clone());
        let location = location.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = follow(&peers, &seed, &digest, &location, &crowd_sender).await {
                debug!(stoker.digest = %digest, because = %error, "crowd feed ended");
            }
            crowd_sender.send_modify(|crowd| crowd.is_over = true);
        });
        Self { crowd, _task: task }
    }

    pub(crate) fn now(&self) -> watch::Ref<'_, CrowdView> {
        self.crowd.borrow()
    }

    /// Waits for the hash of a chunk. Returns `None` when the feed ends without it.
    pub(crate) async fn hash_of(&mut self, chunk: u64) -> Option<ChunkHash> {
        loop {
            {
                let crowd = self.crowd.borrow_and_update();
                if let Some(hash) = crowd.hash_of(chunk) {
                    return Some(hash);
                }
                if crowd.is_over {
                    return None;
                }
            }
            self.crowd.changed().await.ok()?;
        }
    }

    /// Waits for a change. Never returns once the feed has ended.
    pub(crate) async fn changed(&mut self) {
        if self.crowd.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn follow(
    peers: &ShareClient,
    seed: &str,
    digest: &Digest,
    location: &Location,
    crowd_sender: &watch::Sender<CrowdView>,
) -> Result<(), ShareError> {
    let mut body = peers.crowd(seed, digest, location).await?;
    let mut unread = BytesMut::new();
    loop {
        let part = timeout(SILENCE, body.next())
            .await
            .map_err(|_| ShareError::Timeout(SILENCE))?;
        let Some(part) = part else { return Ok(()) };
        unread.extend_from_slice(&part?);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line = unread.split_to(end + 1);
            let news: News = serde_json::from_slice(&line)
                .map_err(|_| ShareError::BadResponse("a line that is not the JSON of the feed"))?;
            crowd_sender.send_if_modified(|crowd| crowd.learn(news));
        }
        if unread.len() > LINE_LIMIT {
            return Err(ShareError::BadResponse("a line without an end"));
        }
    }
}

impl CrowdView {
    /// Returns whether anything is new.
    fn learn(&mut self, news: News) -> bool {
        let before = (self.me.len(), self.hashes.len());
        if let Some(you) = news.you {
            self.me = you;
        }
        let has_siblings = news.siblings.is_some();
        if let Some(siblings) = news.siblings {
            self.siblings = siblings;
        }
        for (number, hash) in news.chunks {
            let is_next = usize::try_from(number) == Ok(self.hashes.len());
            match read_hash(&hash).filter(|_| is_next && self.hashes.len() < CHUNKS_LIMIT) {
                Some(hash) => self.hashes.push(hash),
                None => break,
            }
        }
        has_siblings || before != (self.me.len(), self.hashes.len())
    }

    pub(crate) fn hash_of(&self, chunk: u64) -> Option<ChunkHash> {
        self.hashes.get(usize::try_from(chunk).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use wire::between_peers::HASH_LENGTH;

    use super::*;

    #[test]
    fn hashes_are_taken_in_order_and_invalid_ones_are_refused() {
        let mut crowd = CrowdView::default();
        let hash = [7; HASH_LENGTH];
        let news = |chunks: Vec<(u64, String)>| News {
            chunks,
            ..News::default()
        };
        assert!(crowd.learn(news(vec![(0, hex::encode(hash)), (1, hex::encode(hash))])));
        assert!(!crowd.learn(news(vec![(5, hex::encode(hash))])), "a gap");
        assert!(!crowd.learn(news(vec![(2, "zz".repeat(32))])), "no hash");
        assert_eq!(crowd.hash_of(1), Some(hash));
        assert_eq!(crowd.hash_of(9), None);
    }
}
