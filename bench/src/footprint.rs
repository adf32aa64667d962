//! Memory of manager and peer at rest, and of the peer while it serves 1 GiB to four readers.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use world::harbor::Wish;
use world::{ImageSpec, LayerSpec, ManagerSpec, Peer, Registry};

use crate::setup::plain_http;
use crate::table::Row;

const READERS: usize = 4;
const GIB: u64 = 1 << 30;
const SETTLE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) async fn run() -> Vec<Row> {
    let registry = Registry::plain().await;
    let image = ImageSpec::new(900).layers([LayerSpec::plain(GIB)]).build();
    registry.push(&image, "bench/big", "v1").await;
    let manager = ManagerSpec::new()
        .config(&plain_http(&registry.host()))
        .start()
        .await;
    let seed = Peer::seed("seed", &manager).await;
    sleep(SETTLE).await;
    let (manager_idle, peer_idle) = (manager.resident_bytes(), seed.resident_bytes());

    let mut harbor = manager.harbor();
    let id = harbor
        .preheat(&Wish::new(registry.manifest_url("bench/big", "v1")))
        .await
        .expect("taken")
        .id;
    harbor.until_done(id, LIMIT).await;
    let after_fetch = seed.resident_bytes();
    let layer = &image.layers()[0].digest;
    let url = format!(
        "{}/v2/bench/big/blobs/{layer}?ns={}",
        seed.front_url(),
        registry.host().replace(':', "%3A")
    );
    let readers = join_all((0..READERS).map(|_| read(registry.client(), &url)));
    tokio::pin!(readers);
    let mut peak = 0;
    loop {
        tokio::select! {
            _ = &mut readers => break,
            () = sleep(LOOK) => peak = peak.max(seed.resident_bytes()),
        }
    }
    vec![
        row("RSS of the manager, idle", manager_idle, 40, "-"),
        row("RSS of a peer, idle", peer_idle, 20, "-"),
        row("RSS of a peer after fetching 1 GiB", after_fetch, 80, "-"),
        row("peak RSS of a peer serving 1 GiB to 4 readers", peak, 80, "-"),
    ]
}

async fn read(client: &reqwest::Client, url: &str) {
    let mut answer = client.get(url).send().await.expect("answered");
    assert!(answer.status().is_success(), "{}", answer.status());
    while answer.chunk().await.expect("whole").is_some() {}
}

fn row(scenario: &str, bytes: u64, goal_mib: u64, reference: &str) -> Row {
    let mib = bytes >> 20;
    Row {
        scenario: scenario.to_owned(),
        ours: format!("{mib} MiB"),
        reference: reference.to_owned(),
        ratio: String::new(),
        goal: format!("< {goal_mib} MiB"),
        met: mib < goal_mib,
        ..Row::default()
    }
}
