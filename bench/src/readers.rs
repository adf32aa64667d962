//! 64 readers of one cold object of 1 GiB, half of them slow: the peer's memory meanwhile.

use futures_util::future::{join_all, select};
use std::pin::pin;

use crate::client::{Connection, Reading};
use crate::network::TestNetwork;
use crate::setup::{digests, served};
use crate::table::Row;

const SIZE: u64 = 1 << 30;
const EACH: usize = 32;
const SLOW: u64 = 1 << 20;
const GOAL_MIB: u64 = 80;

pub(crate) async fn run() -> Vec<Row> {
    let network = TestNetwork::new().await;
    let digest = digests(&served(&network.setup, 64, [SIZE])).remove(0);
    let crowd = network.crowd("readers", (1, 1), world::Net::host).await;
    let (base, path) = (crowd.nodes[0].front_url(), network.setup.path(&digest));
    let reader = |pace: Option<u64>| {
        let (base, path) = (base.clone(), path.clone());
        async move {
            let mut reading = pace.map_or_else(Reading::fast, Reading::slow);
            let mut connection = Connection::open(&base).await.expect("connected");
            connection
                .read(&path, None, &mut reading)
                .await
                .map(|got| got.bytes)
        }
    };
    let begin = std::time::Instant::now();
    let fast = pin!(join_all((0..EACH).map(|_| reader(None))));
    let slow = pin!(join_all((0..EACH).map(|_| reader(Some(SLOW)))));
    // The slow ones would take a quarter of an hour: it is enough that they were there all the time.
    let whole = match select(fast, slow).await {
        futures_util::future::Either::Left((fast, _)) => fast,
        futures_util::future::Either::Right(_) => panic!("the slow ones were faster"),
    };
    let took = begin.elapsed().as_secs_f64();
    assert!(
        whole
            .iter()
            .all(|bytes| bytes.as_ref().is_ok_and(|bytes| *bytes == SIZE)),
        "{whole:?}"
    );
    let (node, seed) = (crowd.nodes[0].usage(), crowd.seeds[0].usage());
    let peak = node.peak_bytes >> 20;
    vec![Row {
        scenario: "64 readers of one cold 1 GiB object, half of them at 1 MiB/s, stores in memory".to_owned(),
        ours: format!(
            "peak RSS {peak} MiB (seed {} MiB); the fast ones took {took:.1} s",
            seed.peak_bytes >> 20
        ),
        reference: format!("{GOAL_MIB} MiB"),
        goal: format!("< {GOAL_MIB} MiB"),
        met: peak < GOAL_MIB,
        memory: format!("{peak} MiB"),
        ..Row::default()
    }]
}
