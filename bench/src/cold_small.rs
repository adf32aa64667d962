//! P4 and P5, cold: small objects that nobody has, and one part of a large one.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::client::{Connection, each_once};
use crate::load::median;
use crate::network::Wire;
use crate::setup::{REPOSITORY, digests, served};
use crate::table::Row;
use crate::warm::{SMALL, SMALL_ONES};

const RUNS: usize = 5;
const CONNECTIONS: usize = 8;
const MIDDLE: u64 = 256 << 20;
const CHUNK: u64 = 1 << 20;
const GOAL: f64 = 2_000.0;
/// What is fetched behind an answer would be seen by then.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// P4: 200 blobs of 64 KiB, each once, by one node and by four at once.
pub(crate) async fn small_objects() -> Vec<Row> {
    let wire = Wire::new().await;
    let digests = digests(&served(&wire.stage, 44, vec![SMALL; SMALL_ONES]));
    let paths: Vec<String> = digests.iter().map(|digest| wire.stage.path(digest)).collect();
    let direct: Vec<String> = digests
        .iter()
        .map(|digest| format!("/v2/{REPOSITORY}/blobs/{digest}"))
        .collect();
    let mut rows = Vec::new();
    for nodes in [1_u32, 4] {
        let (mut ours, mut theirs, mut most) = (Vec::new(), Vec::new(), 0);
        for run in 0..RUNS {
            theirs.push(each_once(&wire.stage.origin.url(), &direct, CONNECTIONS).await);
            let crowd = wire
                .crowd(
                    &format!("p4-{nodes}-{run}"),
                    (1, nodes as usize),
                    world::Net::host,
                )
                .await;
            wire.stage.origin.forget_requests();
            let pulls = crowd.nodes.iter().map(|node| {
                let (base, paths) = (node.front_url(), &paths);
                async move { each_once(&base, paths, CONNECTIONS).await }
            });
            ours.push(join_all(pulls).await.into_iter().fold(0.0, f64::max));
            most = most.max(most_often(&wire.stage.origin.gets()));
        }
        rows.push(row(nodes, median(&mut ours), median(&mut theirs), most));
    }
    rows
}

/// GETs of the object that was asked for most often.
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
            "P4 200 blobs of 64 KiB cold by {nodes} node(s), 8 connections each, median of {RUNS}"
        ),
        ours: format!("{each_second:.0} blobs/s; the origin saw each {most} time(s)"),
        reference: format!("nginx, the same client: {:.0} blobs/s", blobs / theirs),
        ratio: format!("{:.2}", each_second / (blobs / theirs)),
        goal: format!(">= {GOAL} blobs/s, each once"),
        met: each_second >= GOAL && most == 1,
        ..Row::default()
    }
}

/// P5: one range of an object that nobody has.
pub(crate) async fn one_range() -> Vec<Row> {
    let wire = Wire::new().await;
    let digest = digests(&served(&wire.stage, 55, [MIDDLE])).remove(0);
    let (mut sent, mut first) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let crowd = wire.crowd(&format!("p5-{run}"), (1, 1), world::Net::host).await;
        wire.stage.origin.forget_requests();
        let mut connection = Connection::open(&crowd.nodes[0].front_url())
            .await
            .expect("connected");
        let begin = 100 * CHUNK + 4_096;
        let range = format!("bytes={begin}-{}", begin + SMALL - 1);
        let got = connection
            .get(&wire.stage.path(&digest), Some(&range))
            .await
            .expect("answered");
        assert_eq!((got.status, got.bytes), (206, SMALL));
        first.push(got.first_byte.as_secs_f64() * 1e3);
        sleep(AFTERWARDS).await;
        // An answer that is cut off is in the log with what was sent of it.
        drop(crowd);
        #[expect(clippy::cast_precision_loss, reason = "bytes of one run")]
        sent.push(wire.stage.origin.bytes_sent() as f64);
    }
    let (sent, first) = (median(&mut sent), median(&mut first));
    #[expect(clippy::cast_precision_loss, reason = "64 KiB and a chunk")]
    let (asked, allowed) = (SMALL as f64, (SMALL + CHUNK) as f64);
    vec![Row {
        scenario: format!("P5 one cold 64 KiB range of 256 MiB, median of {RUNS}"),
        ours: format!("{sent:.0} bytes from the origin"),
        reference: format!("{asked:.0} bytes asked"),
        ratio: format!("{:.1}", sent / asked),
        goal: "over-read <= 1 chunk".to_owned(),
        met: sent <= allowed,
        first_byte: format!("{first:.1} ms"),
        ..Row::default()
    }]
}
