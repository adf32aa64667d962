//! `cold-small` and `cold-range`: small objects that no peer holds, and one range of a large one.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::client::{Connection, each_once};
use crate::load::median;
use crate::network::TestNetwork;
use crate::setup::{REPOSITORY, digests, served};
use crate::table::Row;
use crate::warm::{SMALL, SMALL_ONES};

const RUNS: usize = 5;
const CONNECTIONS: usize = 8;
const MIDDLE: u64 = 256 << 20;
const CHUNK: u64 = 1 << 20;
const GOAL: f64 = 2_000.0;
/// Time in which a fetch behind the response would show.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// 200 blobs of 64 KiB, each once, by one node and by four at once.
pub(crate) async fn small_objects() -> Vec<Row> {
    let network = TestNetwork::new().await;
    let digests = digests(&served(&network.setup, 44, vec![SMALL; SMALL_ONES]));
    let paths: Vec<String> = digests.iter().map(|digest| network.setup.path(digest)).collect();
    let direct: Vec<String> = digests
        .iter()
        .map(|digest| format!("/v2/{REPOSITORY}/blobs/{digest}"))
        .collect();
    let mut rows = Vec::new();
    for nodes in [1_u32, 4] {
        let (mut ours, mut theirs, mut most) = (Vec::new(), Vec::new(), 0);
        for run in 0..RUNS {
            theirs.push(each_once(&network.setup.registry.url(), &direct, CONNECTIONS).await);
            let crowd = network
                .crowd(
                    &format!("cold-small-{nodes}-{run}"),
                    (1, nodes as usize),
                    world::Net::host,
                )
                .await;
            network.setup.registry.forget_requests();
            let pulls = crowd.nodes.iter().map(|node| {
                let (base, paths) = (node.front_url(), &paths);
                async move { each_once(&base, paths, CONNECTIONS).await }
            });
            ours.push(join_all(pulls).await.into_iter().fold(0.0, f64::max));
            most = most.max(most_often(&network.setup.registry.gets()));
        }
        rows.push(row(nodes, median(&mut ours), median(&mut theirs), most));
    }
    rows
}

/// The largest number of GETs of one object.
fn most_often(gets: &[(String, u64)]) -> usize {
    let mut paths: Vec<&str> = gets.iter().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    paths
        .chunk_by(|one, other| one == other)
        .map(<[&str]>::len)
        .max()
        .unwrap_or_default()
}

fn row(nodes: u32, ours: f64, theirs: f64, most: usize) -> Row {
    #[expect(clippy::cast_precision_loss, reason = "200 blobs")]
    let blobs = SMALL_ONES as f64;
    let each_second = blobs * f64::from(nodes) / ours;
    Row {
        scenario: format!(
            "cold-small: 200 blobs of 64 KiB by {nodes} node(s), 8 connections each, median of {RUNS}"
        ),
        ours: format!("{each_second:.0} blobs/s; the registry saw each {most} time(s)"),
        reference: format!("nginx, the same client: {:.0} blobs/s", blobs / theirs),
        ratio: format!("{:.2}", each_second / (blobs / theirs)),
        goal: format!(">= {GOAL} blobs/s, each once"),
        met: each_second >= GOAL && most == 1,
        ..Row::default()
    }
}

/// One range of an object that no peer holds.
pub(crate) async fn one_range() -> Vec<Row> {
    let network = TestNetwork::new().await;
    let digest = digests(&served(&network.setup, 55, [MIDDLE])).remove(0);
    let (mut sent, mut first) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let crowd = network
            .crowd(&format!("cold-range-{run}"), (1, 1), world::Net::host)
            .await;
        network.setup.registry.forget_requests();
        let mut connection = Connection::open(&crowd.nodes[0].front_url())
            .await
            .expect("connected");
        let begin = 100 * CHUNK + 4_096;
        let range = format!("bytes={begin}-{}", begin + SMALL - 1);
        let got = connection
            .get(&network.setup.path(&digest), Some(&range))
            .await
            .expect("answered");
        assert_eq!((got.status, got.bytes), (206, SMALL));
        first.push(got.first_byte.as_secs_f64() * 1e3);
        sleep(AFTERWARDS).await;
        // A response that is cut off is in the access log with the bytes that were sent.
        drop(crowd);
        #[expect(clippy::cast_precision_loss, reason = "bytes of one run")]
        sent.push(network.setup.registry.bytes_sent() as f64);
    }
    let (sent, first) = (median(&mut sent), median(&mut first));
    #[expect(clippy::cast_precision_loss, reason = "64 KiB and a chunk")]
    let (requested, allowed) = (SMALL as f64, (SMALL + CHUNK) as f64);
    vec![Row {
        scenario: format!("cold-range: one 64 KiB range of 256 MiB, median of {RUNS}"),
        ours: format!("{sent:.0} bytes from the registry"),
        reference: format!("{requested:.0} bytes requested"),
        ratio: format!("{:.1}", sent / requested),
        goal: "over-read <= 1 chunk".to_owned(),
        met: sent <= allowed,
        first_byte: format!("{first:.1} ms"),
        ..Row::default()
    }]
}
