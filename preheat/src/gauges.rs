//! How things stand: preheats, work, placements and peers, counted from their rows.
//!
//! A task counts every few seconds, by one grouped query for each table; a scrape shows what it counted last and
//! asks no database. What a scrape shows may so be [`COUNT_EVERY`] old.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use queue::{Depth, WorkState, depths, encode_gauge, encode_gauges};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};

use crate::clusters;
use crate::limits::seconds;
use crate::placing::PLACE;
use crate::preheater::Inner;
use crate::rows::{peers, preheats};
use crate::submit::{PLAN, RESOLVE};
use crate::sums::whole_sum;
use crate::tell::TELL;
use crate::views::PreheatState;

pub(crate) const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Clusters beyond the first ones that were made are counted together, as `other`.
const NAMED_CLUSTERS: usize = 64;

const KINDS: [&str; 4] = [RESOLVE, PLAN, PLACE, TELL];
const WORK_STATES: [WorkState; 3] = [WorkState::Waiting, WorkState::Running, WorkState::Parked];
const OPEN_STATES: [PreheatState; 3] = [
    PreheatState::Waiting,
    PreheatState::Resolving,
    PreheatState::Placing,
];

/// What was counted last; a clone shows the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    open: BTreeMap<&'static str, i64>,
    placements_open: i64,
    /// (kind, state) -> how many, and the age of the oldest in seconds.
    work: BTreeMap<(&'static str, WorkState), (i64, f64)>,
    peers: BTreeMap<OfPeers, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfPeers {
    cluster: String,
    role: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWork {
    kind: &'static str,
    state: &'static str,
}

impl Gauges {
    pub(crate) async fn count(&self, inner: &Inner) -> Result<(), DbErr> {
        let db = inner.reads();
        let (open, placements_open) = open_preheats(db).await?;
        let counted = Counted {
            open,
            placements_open,
            work: work(&depths(db).await?, inner.now_ms()),
            peers: peers_by_cluster(inner).await?,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counted;
        Ok(())
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.encode_preheats(&mut encoder)?;
        counted.encode_work(&mut encoder)?;
        let peers = counted.peers.iter().map(|(of, count)| (of.clone(), *count));
        encode_gauges(
            &mut encoder,
            "stoker_peers",
            "Peers that have ever called in",
            peers,
        )
    }
}

impl Counted {
    fn encode_preheats(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let open = OPEN_STATES.map(|state| {
            let state = state.word();
            (InState { state }, self.open.get(state).copied().unwrap_or(0))
        });
        encode_gauges(
            encoder,
            "stoker_preheats_open",
            "Preheats that have not ended",
            open,
        )?;
        let (name, help) = ("stoker_placements_open", "Placements that have not ended");
        encode_gauge(encoder, name, help, self.placements_open)
    }

    fn encode_work(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let of = |states: &'static [WorkState]| {
            KINDS.into_iter().flat_map(move |kind| {
                states.iter().map(move |state| {
                    let labels = OfWork {
                        kind,
                        state: word(*state),
                    };
                    (
                        labels,
                        self.work.get(&(kind, *state)).copied().unwrap_or_default(),
                    )
                })
            })
        };
        let depths = of(&WORK_STATES).map(|(labels, (count, _))| (labels, count));
        let help = "Pieces of work by kind: a place is all that one peer has to hold for one preheat";
        encode_gauges(encoder, "stoker_queue_depth", help, depths)?;
        let ages = of(&[WorkState::Waiting, WorkState::Running]).map(|(labels, (_, age))| (labels, age));
        let help = "Age of the oldest piece of work that is not parked";
        encode_gauges(encoder, "stoker_queue_oldest_age_seconds", help, ages)
    }
}

fn word(state: WorkState) -> &'static str {
    match state {
        WorkState::Waiting => "waiting",
        WorkState::Running => "running",
        WorkState::Parked => "parked",
    }
}

/// Through the index over deadlines: a preheat has one until it ends.
async fn open_preheats(db: &impl ConnectionTrait) -> Result<(BTreeMap<&'static str, i64>, i64), DbErr> {
    use preheats::Column;
    let sum = whole_sum(db.get_database_backend(), Column::PlacementsOpen);
    let rows: Vec<(String, i64, i64)> = preheats::Entity::find()
        .select_only()
        .column(Column::State)
        .column_as(Column::Id.count(), "preheats")
        .column_as(sum, "placements")
        .filter(Column::DeadlineMs.is_not_null())
        .group_by(Column::State)
        .into_tuple()
        .all(db)
        .await?;
    let placements = rows.iter().map(|(_, _, placements)| placements).sum();
    let open = rows
        .into_iter()
        .map(|(state, count, _)| (PreheatState::of(&state).word(), count));
    Ok((open.collect(), placements))
}

fn work(depths: &[Depth], now_ms: i64) -> BTreeMap<(&'static str, WorkState), (i64, f64)> {
    let known = |kind: &str| KINDS.into_iter().find(|known| *known == kind);
    depths
        .iter()
        .filter_map(|depth| {
            let age = seconds((now_ms - depth.oldest_ms).max(0));
            Some(((known(&depth.kind)?, depth.state), (depth.count, age)))
        })
        .collect()
}

async fn peers_by_cluster(inner: &Inner) -> Result<BTreeMap<OfPeers, i64>, DbErr> {
    use peers::Column;
    let rows: Vec<(i64, bool, i64, i64)> = peers::Entity::find()
        .select_only()
        .columns([Column::ClusterId, Column::Seed])
        .column_as(Column::Id.count(), "known")
        .column_as(Column::Session.count(), "alive")
        .group_by(Column::ClusterId)
        .group_by(Column::Seed)
        .into_tuple()
        .all(inner.reads())
        .await?;
    let has_all = |known: &BTreeMap<i64, String>| rows.iter().all(|row| known.contains_key(&row.0));
    let names = clusters::known(inner, has_all).await?;
    Ok(by_cluster(&rows, &names))
}

/// Rows are (cluster, whether they are seeds, known, alive).
fn by_cluster(rows: &[(i64, bool, i64, i64)], names: &BTreeMap<i64, String>) -> BTreeMap<OfPeers, i64> {
    let clusters: BTreeSet<i64> = rows.iter().map(|row| row.0).collect();
    let shown: BTreeSet<i64> = clusters.into_iter().take(NAMED_CLUSTERS).collect();
    let mut peers = BTreeMap::new();
    for (cluster, seed, known, alive) in rows {
        let name = names.get(cluster).filter(|_| shown.contains(cluster));
        let name = name.map_or("other", String::as_str);
        let role = if *seed { "seed" } else { "node" };
        for (state, count) in [("alive", *alive), ("absent", known - alive)] {
            let cluster = name.to_owned();
            *peers.entry(OfPeers { cluster, role, state }).or_default() += count;
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_beyond_the_bound_are_counted_together() {
        let rows: Vec<_> = (1..=70).map(|id| (id, true, 3, 1)).collect();
        let names = (1..=70).map(|id| (id, format!("edge-{id}"))).collect();
        let peers = by_cluster(&rows, &names);
        let of = |cluster: &str, state| {
            let (cluster, role) = (cluster.to_owned(), "seed");
            peers.get(&OfPeers { cluster, role, state }).copied()
        };
        assert_eq!(
            (of("edge-64", "alive"), of("edge-64", "absent")),
            (Some(1), Some(2))
        );
        assert_eq!((of("edge-65", "alive"), of("other", "alive")), (None, Some(6)));
        assert_eq!(peers.len(), 65 * 2);
    }
}
