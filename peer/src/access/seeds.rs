//! What the seeds of the cluster have from the manager and this node does not: what tags mean, and what anybody may read.
//! All are asked at once and answer from their stores, so the wait is short, also when one of them is gone.
//!
//! **Invariant:** seeds only carry these records: `records` decides whether one counts.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use oci::{Digest, Tag};
use tokio::time::{Instant, timeout};
use tracing::warn;
use wire::{SeedAddress, TagRecord};

use super::caller::Caller;
use super::decision::GrantAge;
use super::state::Access;
use crate::records::{Carrier, RecordError};

const TAG_LIMIT: Duration = Duration::from_secs(2);
const PUBLIC_LIMIT: Duration = Duration::from_secs(1);
/// That no seed shows an object to be public is remembered for as long as this.
const NOT_PUBLIC_FOR: Duration = Duration::from_secs(5);

impl Access {
    /// Keeps what the seeds show of the manager's records that anybody may read the object at this location.
    pub(super) async fn ask_seeds_what_is_public(&self, caller: &Caller, digest: &Digest) {
        let key = (caller.location().clone(), digest.clone());
        let seeds = self.neighbours.seeds();
        if seeds.is_empty() || self.not_public.contains(&key, Instant::now()) {
            return;
        }
        let peers = &self.peers;
        let mut answers: FuturesUnordered<_> = seeds
            .iter()
            .map(|seed| async move {
                let answer = peers.public(&seed.share_url, caller.location(), digest).await;
                (seed, answer)
            })
            .collect();
        // A seed may show an old record, so the others are waited for.
        let all_said_no = timeout(PUBLIC_LIMIT, async {
            let mut all_answered = true;
            while let Some((seed, answer)) = answers.next().await {
                all_answered &= answer.is_ok();
                if let Ok(Some(proof)) = answer {
                    let learned =
                        self.records
                            .learn_public(&proof, caller.location(), digest, self.by_peer());
                    tell_of_refusal(seed, learned);
                }
                if self.public(caller, digest) == GrantAge::Fresh {
                    return false;
                }
            }
            all_answered
        });
        // Silence is no answer: a seed under load may show it the next time.
        if all_said_no.await == Ok(true) {
            let now = Instant::now();
            self.not_public.insert(key, (), now + NOT_PUBLIC_FOR, now);
        }
    }

    /// The newest record of what the tag means: this peer's own, or the manager's, also as a seed shows it.
    pub(super) async fn last_meaning(&self, caller: &Caller, tag: &Tag) -> Option<TagRecord> {
        let location = caller.location();
        let seeds = self.neighbours.seeds();
        let peers = &self.peers;
        let mut answers: FuturesUnordered<_> = seeds
            .iter()
            .map(|seed| async move {
                let answer = peers.tag(&seed.share_url, location, tag.as_str()).await;
                (seed, answer)
            })
            .collect();
        // Answers that have come when the time is over count.
        let _ = timeout(TAG_LIMIT, async {
            while let Some((seed, answer)) = answers.next().await {
                if let Ok(Some(signed)) = answer {
                    let learned = self
                        .records
                        .learn_tag(&signed, location, tag.as_str(), self.by_peer());
                    tell_of_refusal(seed, learned);
                }
            }
        })
        .await;
        self.store.tag(&location.to_string(), tag.as_str())
    }

    fn by_peer(&self) -> Carrier {
        Carrier::Peer { now_ms: (self.now)() }
    }
}

fn tell_of_refusal(seed: &SeedAddress, learned: Result<(), RecordError>) {
    if let Err(why) = learned {
        warn!(stoker.side = "peer", stoker.peer = seed.name, %why, "record of a seed refused");
    }
}
