//! Bandwidth limits over real sockets: what a peer may receive, and what a cluster may receive from one
//! registry, while ten seconds' worth of bytes is pulled without a limit at the client.

use futures_util::future::join_all;
use world::{Peer, PeerSpec};

use crate::measure::curl;
use crate::setup::{ServingSetup, digests, in_memory, served};
use crate::table::Row;

const SECONDS: f64 = 10.0;
const OF_A_PEER: u64 = 20_000_000;
const OF_A_CLUSTER: u64 = 30_000_000;
const SEEDS: u64 = 3;
const WITHIN: f64 = 0.1;

pub(crate) async fn run() -> Vec<Row> {
    let setup = ServingSetup::configured(|registry| {
        format!(
            "[cluster.\"narrow\".origin.\"{registry}\"]\nbandwidth = \"{}MB/s\"\n",
            OF_A_CLUSTER / 1_000_000
        )
    })
    .await;
    vec![one_peer(&setup).await, one_cluster(&setup).await]
}

async fn one_peer(setup: &ServingSetup) -> Row {
    let stores = in_memory();
    let limit = format!("[limits]\nincoming = \"{}MB/s\"\n", OF_A_PEER / 1_000_000);
    let peer = PeerSpec::seed("limited").config(&limit).folder(stores.path());
    let peer = peer.start(&setup.manager).await;
    let digest = digests(&served(setup, 90, [OF_A_PEER * 10])).remove(0);
    let took = curl(None, &setup.url(&peer, &digest), &[]).await.seconds;
    row("limit: a peer takes 200 MB at 20 MB/s", took, "")
}

/// Each seed pulls an object of its own.
async fn one_cluster(setup: &ServingSetup) -> Row {
    let stores = in_memory();
    let seeds = join_all((0..SEEDS).map(|number| {
        let name = format!("narrow-{number}");
        let spec = PeerSpec::seed(&name)
            .cluster("narrow")
            .folder(stores.path().join(&name));
        spec.start(&setup.manager)
    }))
    .await;
    let each = OF_A_CLUSTER / SEEDS * 10;
    let digests = digests(&served(setup, 91, (0..SEEDS).map(|_| each)));
    // By then every seed knows that there are three.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let pulls = seeds
        .iter()
        .zip(&digests)
        .map(|(seed, digest): (&Peer, &String)| {
            let url = setup.url(seed, digest);
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
