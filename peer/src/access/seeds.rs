//! What the seeds of the cluster know and this node does not: what tags mean, and what anybody may read.
//! All are asked at once and answer from their stores, so the wait is short, also when one of them is gone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use oci::{Digest, Location, Tag};
use tokio::time::{Instant, timeout};
use wire::TagRecord;

use super::{Access, Who};

const TAG_LIMIT: Duration = Duration::from_secs(2);
const PUBLIC_LIMIT: Duration = Duration::from_secs(1);
/// That no seed knows an object to be public is believed for as long as this.
const NOT_PUBLIC_FOR: Duration = Duration::from_secs(5);
const KEPT: usize = 10_000;

/// Objects that no seed knew to be public when they were asked.
#[derive(Default)]
pub(crate) struct NotPublic(Mutex<HashMap<(Location, Digest), Instant>>);

impl NotPublic {
    fn is_known(&self, key: &(Location, Digest)) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|until| Instant::now() < *until)
    }

    fn remember(&self, key: (Location, Digest)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Instant::now() + NOT_PUBLIC_FOR);
    }
}

impl Access {
    /// When a seed found that anybody may read the object at this location (Unix milliseconds).
    pub(crate) async fn seeds_say_public(&self, who: &Who, digest: &Digest) -> Option<i64> {
        let key = (who.location().clone(), digest.clone());
        let seeds = self.neighbours.seeds();
        if seeds.is_empty() || self.not_public.is_known(&key) {
            return None;
        }
        let peers = &self.peers;
        let mut answers: FuturesUnordered<_> = seeds
            .iter()
            .map(|seed| peers.public(&seed.share_url, who.location(), digest))
            .collect();
        let public = timeout(PUBLIC_LIMIT, async {
            while let Some(answer) = answers.next().await {
                if let Ok(Some(at)) = answer {
                    return Some(at);
                }
            }
            None
        });
        let found = public.await.ok().flatten();
        if found.is_none() {
            self.not_public.remember(key);
        }
        found
    }

    /// The youngest record of what the tag means: ours, or a seed's.
    pub(crate) async fn last_meaning(&self, who: &Who, tag: &Tag) -> Option<TagRecord> {
        let location = who.location();
        let mut youngest = self.store.tag(&location.to_string(), tag.as_str());
        let seeds = self.neighbours.seeds();
        let peers = &self.peers;
        let mut answers: FuturesUnordered<_> = seeds
            .iter()
            .map(|seed| peers.tag(&seed.share_url, location, tag.as_str()))
            .collect();
        // Whoever has answered when the time is over counts.
        let _ = timeout(TAG_LIMIT, async {
            while let Some(answer) = answers.next().await {
                if let Ok(Some(record)) = answer {
                    youngest = Some(younger(youngest.take(), record));
                }
            }
        })
        .await;
        youngest
    }
}

fn younger(one: Option<TagRecord>, other: TagRecord) -> TagRecord {
    one.filter(|one| one.seen_unix_ms >= other.seen_unix_ms)
        .unwrap_or(other)
}
