//! Gauges of preheats, work, placements and peers, counted from their rows.
//!
//! A task counts every few seconds, by one grouped query for each table. A scrape shows the last counts and does not
//! read the database, so its values may be five seconds old.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use queue::{WorkState, encode_gauge, encode_gauges};

use super::work::{PLACE, PLAN, RESOLVE, TELL};
use crate::model::state::PreheatState;

/// The oldest clusters have their own labels; all others are counted together, as `other`.
const NAMED_CLUSTERS: usize = 64;

pub(crate) const KINDS: [&str; 4] = [RESOLVE, PLAN, PLACE, TELL];
const WORK_STATES: [WorkState; 3] = [WorkState::Waiting, WorkState::Running, WorkState::Parked];
const OPEN_STATES: [PreheatState; 3] = [
    PreheatState::Waiting,
    PreheatState::Resolving,
    PreheatState::Placing,
];

/// The last counts; a clone shows the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges(Arc<Mutex<RowCounts>>);

#[derive(Debug, Default)]
pub(crate) struct RowCounts {
    pub(crate) open: BTreeMap<&'static str, i64>,
    pub(crate) placements_open: i64,
    /// (kind, state) -> how many, and the age of the oldest in seconds.
    pub(crate) work: BTreeMap<(&'static str, WorkState), (i64, f64)>,
    pub(crate) peers: BTreeMap<PeerLabels, i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct PeerLabels {
    cluster: String,
    role: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkLabels {
    kind: &'static str,
    state: &'static str,
}

impl Gauges {
    pub(crate) fn put(&self, counted: RowCounts) {
        *self.0.lock() = counted;
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counted = self.0.lock();
        counted.encode_preheats(&mut encoder)?;
        counted.encode_work(&mut encoder)?;
        let peers = counted.peers.iter().map(|(of, count)| (of.clone(), *count));
        encode_gauges(
            &mut encoder,
            "stoker_peers",
            "Peers that have ever registered",
            peers,
        )
    }
}

impl RowCounts {
    fn encode_preheats(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let open = OPEN_STATES.map(|state| {
            let state = state.word();
            (StateLabel { state }, self.open.get(state).copied().unwrap_or(0))
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
                    let labels = WorkLabels {
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
        let help = "Work items by kind; a place is all that one peer has to hold for one preheat and stage";
        encode_gauges(encoder, "stoker_queue_depth", help, depths)?;
        let ages = of(&[WorkState::Waiting, WorkState::Running]).map(|(labels, (_, age))| (labels, age));
        let help = "Age of the oldest work item that is not parked";
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

/// Rows are (cluster, whether they are seeds, known, alive).
pub(crate) fn by_cluster(
    rows: &[(i64, bool, i64, i64)],
    names: &BTreeMap<i64, String>,
) -> BTreeMap<PeerLabels, i64> {
    let clusters: BTreeSet<i64> = rows.iter().map(|row| row.0).collect();
    let shown: BTreeSet<i64> = clusters.into_iter().take(NAMED_CLUSTERS).collect();
    let mut peers = BTreeMap::new();
    for (cluster, seed, known, alive) in rows {
        let name = names.get(cluster).filter(|_| shown.contains(cluster));
        let name = name.map_or("other", String::as_str);
        let role = if *seed { "seed" } else { "node" };
        for (state, count) in [("alive", *alive), ("absent", known - alive)] {
            let cluster = name.to_owned();
            *peers.entry(PeerLabels { cluster, role, state }).or_default() += count;
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
            peers.get(&PeerLabels { cluster, role, state }).copied()
        };
        assert_eq!(
            (of("edge-64", "alive"), of("edge-64", "absent")),
            (Some(1), Some(2))
        );
        assert_eq!((of("edge-65", "alive"), of("other", "alive")), (None, Some(6)));
        assert_eq!(peers.len(), 65 * 2);
    }
}
