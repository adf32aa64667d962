//! `cold-large`: 1 GiB that no peer holds, through node and seed, beside a download from the same registry;
//! then with a seed that holds it.

use world::Rate;

use crate::measure::{Sample, Samples, curl, used};
use crate::network::TestNetwork;
use crate::setup::{digests, served};
use crate::table::Row;

const BIG: u64 = 1 << 30;
const UNLIMITED_RUNS: usize = 5;
/// Each run takes more than twenty seconds.
const LIMITED_RUNS: usize = 3;
const LIMIT: Rate = Rate::megabytes(100);
const PROCESSOR_GOAL: f64 = 2.0;
const FIRST_BYTE_GOAL_MS: f64 = 10.0;

struct LargeCase<'a> {
    name: &'a str,
    runs: usize,
    seeded: bool,
    goal: f64,
}

pub(crate) async fn run() -> Vec<Row> {
    let network = TestNetwork::new().await;
    let digest = digests(&served(&network.setup, 2, [BIG])).remove(0);
    let unlimited = LargeCase {
        name: "cold-large: 1 GiB by node and seed, no limit",
        runs: UNLIMITED_RUNS,
        seeded: false,
        goal: 1.3,
    };
    let seeded = LargeCase {
        name: "cold-large: 1 GiB by a node from a seed that has it, no limit",
        seeded: true,
        ..unlimited
    };
    let limited = LargeCase {
        name: "cold-large: 1 GiB by node and seed, registry at 100 MB/s",
        runs: LIMITED_RUNS,
        seeded: false,
        goal: 1.05,
    };
    let mut rows = vec![
        measured(&network, &digest, &unlimited).await,
        measured(&network, &digest, &seeded).await,
    ];
    network.registry.limit_outgoing(LIMIT);
    rows.push(measured(&network, &digest, &limited).await);
    rows
}

async fn measured(network: &TestNetwork, digest: &str, case: &LargeCase<'_>) -> Row {
    let (mut ours, mut direct) = (Samples::default(), Samples::default());
    for run in 0..case.runs {
        let cluster = format!("cold-large-{}-{}-{run}", case.runs, u8::from(case.seeded));
        let crowd = network.crowd(&cluster, (1, 1), world::Net::host).await;
        let (node, host) = (&crowd.nodes[0], &crowd.hosts[0]);
        if case.seeded {
            curl(None, &network.setup.url(&crowd.seeds[0], digest), &[]).await;
        }
        let theirs = curl(Some(host), &network.setup.registry_url(digest), &[]).await;
        let before = crowd.usage();
        let fetched = curl(Some(host), &network.setup.url(node, digest), &[]).await;
        let sample = |fetched: crate::measure::Fetched| Sample {
            seconds: fetched.seconds,
            bytes: fetched.bytes,
            first_byte: fetched.first_byte,
            ..Sample::default()
        };
        direct.0.push(sample(theirs));
        ours.0.push(Sample {
            processor: used(before, crowd.usage()),
            peak_bytes: crowd.largest(),
            ..sample(fetched)
        });
    }
    row(case, &ours, &direct).printed()
}

fn row(case: &LargeCase<'_>, ours: &Samples, direct: &Samples) -> Row {
    let ratio = ours.ratio(direct, |run| run.seconds);
    let (first, theirs) = (ours.first_byte_ms(), direct.first_byte_ms());
    let processor = ours.processor_each_gib();
    Row {
        scenario: format!("{}, stores in memory, median of {}", case.name, case.runs),
        ours: format!("{:.2} s", ours.seconds()),
        reference: format!("curl from the registry: {:.2} s", direct.seconds()),
        ratio: format!("{ratio:.2}"),
        goal: format!(
            "<= {}, <= {PROCESSOR_GOAL} CPU s/GiB, first byte <= +{FIRST_BYTE_GOAL_MS} ms",
            case.goal
        ),
        met: ratio <= case.goal && processor <= PROCESSOR_GOAL && first <= theirs + FIRST_BYTE_GOAL_MS,
        processor: format!("{processor:.2} (both peers)"),
        memory: format!("{} MiB", ours.peak_mib()),
        first_byte: format!("{first:.1} ms, {theirs:.1} ms"),
    }
}
