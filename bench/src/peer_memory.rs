//! `peer-memory`: memory and processor time of a peer at rest, and its memory after serving 100 GB.

use std::time::Duration;

use tokio::time::sleep;
use world::{PeerSpec, Usage};

use crate::measure::{curl, streams, used};
use crate::setup::{ServingSetup, digests, served};
use crate::table::Row;

const AT_REST: Duration = Duration::from_secs(30);
const BIG: u64 = 1 << 30;
/// 100 GB, in rounds of four readers.
const ROUNDS: u32 = 24;
const READERS: usize = 4;
const IDLE_GOAL_MIB: u64 = 20;
const LOAD_GOAL_MIB: u64 = 80;
const GROWTH_MIB: u64 = 8;

pub(crate) async fn run() -> Vec<Row> {
    let setup = ServingSetup::new().await;
    let peer = PeerSpec::seed("peer").start(&setup.manager).await;
    sleep(Duration::from_secs(3)).await;
    let before = peer.usage();
    sleep(AT_REST).await;
    let idle = peer.usage();
    let share = used(before, idle) / AT_REST.as_secs_f64() * 100.0;
    let digest = digests(&served(&setup, 9, [BIG])).remove(0);
    let url = setup.url(&peer, &digest);
    curl(None, &url, &[]).await;
    let urls = vec![url; READERS];
    streams(&urls, || peer.usage()).await;
    let first = peer.usage();
    Usage::forget_peak(peer.pid());
    for _ in 0..ROUNDS {
        streams(&urls, || peer.usage()).await;
    }
    let last = peer.usage();
    vec![
        row(
            "peer-memory: RSS of a peer at rest",
            idle.resident_bytes >> 20,
            IDLE_GOAL_MIB,
            format!("{share:.2} % of a processor"),
        ),
        row(
            "peer-memory: peak RSS while 100 GB are served, 4 at a time",
            last.peak_bytes >> 20,
            LOAD_GOAL_MIB,
            "-".to_owned(),
        ),
        Row {
            scenario: "peer-memory: RSS after 100 GB were served, beside after the first 5".to_owned(),
            ours: format!("{} MiB", last.resident_bytes >> 20),
            reference: format!("{} MiB", first.resident_bytes >> 20),
            goal: "no growth".to_owned(),
            met: last.resident_bytes >> 20 <= (first.resident_bytes >> 20) + GROWTH_MIB,
            ..Row::default()
        },
    ]
}

fn row(scenario: &str, mib: u64, goal: u64, reference: String) -> Row {
    Row {
        scenario: scenario.to_owned(),
        ours: format!("{mib} MiB"),
        reference,
        goal: format!("<= {goal} MiB"),
        met: mib <= goal,
        memory: format!("{mib} MiB"),
        ..Row::default()
    }
}
