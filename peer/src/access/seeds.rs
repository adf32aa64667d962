//! Asks the seeds of the cluster for records of the manager that this node does not have: tag meanings and public objects.
//! All seeds are asked at once and answer from their stores, so the wait is short even if one is unreachable.
//!
//! **Invariant:** seeds only carry these records; `records` decides whether one counts.

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
/// How long an object counts as not public after all seeds said so.
const NOT_PUBLIC_FOR: Duration = Duration::from_secs(5);

impl Access {
    /// Keeps the seeds' records that anybody may read the object at this location.
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
        // A seed may have an old record only, so wait for the others.
        let all_said_no = timeout(PUBLIC_LIMIT, async {
            let mut all_answered = true;
            while let Some((seed, answer)) = answers.next().await {
                all_answered &= answer.is_ok();
                if let Ok(Some(proof)) = answer {
                    let learned =
                        self.records
                            .learn_public(&proof, caller.location(), digest, self.by_peer());
                    log_refused_record(seed, learned);
                }
                if self.public(caller, digest) == GrantAge::Fresh {
                    return false;
                }
            }
            all_answered
        });
        // A missing answer says nothing: a seed under load may have the record.
        if all_said_no.await == Ok(true) {
            let now = Instant::now();
            self.not_public.insert(key, (), now + NOT_PUBLIC_FOR, now);
        }
    }

    /// Returns the newest record of the tag's meaning: this peer's own, or the manager's, also from a seed.
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
        // Answers that came before the time limit count.
        let _ = timeout(TAG_LIMIT, async {
            while let Some((seed, answer)) = answers.next().await {
                if let Ok(Some(signed)) = answer {
                    let learned = self
                        .records
                        .learn_tag(&signed, location, tag.as_str(), self.by_peer());
                    log_refused_record(seed, learned);
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

fn log_refused_record(seed: &SeedAddress, learned: Result<(), RecordError>) {
    if let Err(error) = learned {
        warn!(stoker.side = "peer", stoker.peer = seed.name, %error, "record of a seed refused");
    }
}
