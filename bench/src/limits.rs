//! Limits of bandwidth over real sockets: what a peer may take, and what a cluster may take from one registry, while ten
//! seconds' worth of bytes is pulled as fast as it goes.

use futures_util::future::join_all;
use world::{Peer, PeerSpec};

use crate::measure::curl;
use crate::setup::{Stage, digests, in_memory, served};
use crate::table::Row;

const SECONDS: f64 = 10.0;
const OF_A_PEER: u64 = 20_000_000;
const OF_A_CLUSTER: u64 = 30_000_000;
const SEEDS: u64 = 3;
const WITHIN: f64 = 0.1;

pub(crate) async fn run() -> Vec<Row> {
    let stage = Stage::configured(|origin| {
        format!(
            "[cluster.\"narrow\".origin.\"{origin}\"]\nbandwidth = \"{}MB/s\"\n",
            OF_A_CLUSTER / 1_000_000
        )
    })
    .await;
    vec![one_peer(&stage).await, one_cluster(&stage).await]
}

async fn one_peer(stage: &Stage) -> Row {
    let stores = in_memory();
    let limit = format!("[limits]\nincoming = \"{}MB/s\"\n", OF_A_PEER / 1_000_000);
    let peer = PeerSpec::seed("limited").config(&limit).folder(stores.path());
    let peer = peer.start(&stage.manager).await;
    let digest = digests(&served(stage, 90, [OF_A_PEER * 10])).remove(0);
    let took = curl(None, &stage.url(&peer, &digest), &[]).await.seconds;
    row("limit: a peer takes 200 MB at 20 MB/s", took, "")
}

/// Each seed pulls an object of its own.
async fn one_cluster(stage: &Stage) -> Row {
    let stores = in_memory();
    let seeds = join_all((0..SEEDS).map(|number| {
        let name = format!("narrow-{number}");
        let spec = PeerSpec::seed(&name)
            .cluster("narrow")
            .folder(stores.path().join(&name));
        spec.start(&stage.manager)
    }))
    .await;
    let each = OF_A_CLUSTER / SEEDS * 10;
    let digests = digests(&served(stage, 91, (0..SEEDS).map(|_| each)));
    // Every seed has heard that there are three before it begins.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let pulls = seeds
        .iter()
        .zip(&digests)
        .map(|(seed, digest): (&Peer, &String)| {
            let url = stage.url(seed, digest);
            async move { curl(None, &url, &[]).await.seconds }
        });
    let took = join_all(pulls).await;
    let last = took.iter().copied().fold(0.0, f64::max);
    let all: Vec<String> = took.iter().map(|seconds| format!("{seconds:.2}")).collect();
    row(
        "limit: a cluster of 3 seeds takes 300 MB at 30 MB/s from one registry",
        last,
        &all.join(", "),
    )
}

fn row(scenario: &str, took: f64, each: &str) -> Row {
    let each = if each.is_empty() {
        String::new()
    } else {
        format!(" ({each})")
    };
    Row {
        scenario: scenario.to_owned(),
        ours: format!("{took:.2} s{each}"),
        reference: format!("bytes / limit: {SECONDS:.2} s"),
        ratio: format!("{:.3}", took / SECONDS),
        goal: "within 10 %".to_owned(),
        met: (took / SECONDS - 1.0).abs() <= WITHIN,
        ..Row::default()
    }
}
