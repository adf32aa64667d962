//! `cold-crowd` and `cold-crowd-narrow`: many nodes pull the same object at once, and the registry's link (or
//! every link) is narrow.

use futures_util::future::join_all;
use world::{Host, Net, Rate};

use crate::load::median;
use crate::measure::{Fetched, GIB, curl, used};
use crate::network::TestNetwork;
use crate::setup::{digests, served};
use crate::table::Row;

const SIZE: u64 = 256 << 20;
const LARGE: u64 = 1 << 30;
/// Sixteen copies of 1 GiB in memory, those of registry and seed, and the rest of the machine.
const MEMORY_FOR_LARGE: u64 = 22 << 20;
const REGISTRY_RATE: Rate = Rate::megabytes(50);
const NARROW: Rate = Rate::megabytes(20);
const EGRESS_GOAL: f64 = 1.02;
const SPREAD_GOAL: f64 = 1.3;

struct CrowdCase {
    name: String,
    nodes: usize,
    size: u64,
    registry: Rate,
    links: Option<Rate>,
    runs: usize,
    goal: f64,
}

/// One run, in multiples of the ideal.
struct Outcome {
    wall: f64,
    egress: f64,
    spread: f64,
    first_byte_ms: f64,
    processor: f64,
    peak_bytes: u64,
}

pub(crate) async fn run() -> Vec<Row> {
    let mut rows = Vec::new();
    for (nodes, size, goal) in [(4, SIZE, 1.06), (8, SIZE, 1.10), (16, size_for_sixteen(), 1.15)] {
        let case = CrowdCase {
            name: format!(
                "cold-crowd: {nodes} nodes pull {} MiB at once, registry 50 MB/s",
                size >> 20
            ),
            nodes,
            size,
            registry: REGISTRY_RATE,
            links: None,
            runs: if size == SIZE { 5 } else { 3 },
            goal,
        };
        rows.push(measured(&case).await.printed());
    }
    rows
}

pub(crate) async fn narrow_links() -> Vec<Row> {
    let case = CrowdCase {
        name: "cold-crowd-narrow: 8 nodes pull 256 MiB at once, registry and every link 20 MB/s".to_owned(),
        nodes: 8,
        size: SIZE,
        registry: NARROW,
        links: Some(NARROW),
        runs: 3,
        goal: 1.3,
    };
    vec![measured(&case).await]
}

/// 1 GiB if there is memory for it.
fn size_for_sixteen() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    if kib.unwrap_or_default() >= MEMORY_FOR_LARGE {
        LARGE
    } else {
        SIZE
    }
}

async fn measured(case: &CrowdCase) -> Row {
    let network = TestNetwork::new().await;
    network.registry.limit_outgoing(case.registry);
    let digest = digests(&served(&network.setup, 3, [case.size])).remove(0);
    let alone = network.net.host();
    let mut outcomes = Vec::new();
    let mut direct = Vec::new();
    for run in 0..case.runs {
        direct.push(
            curl(Some(&alone), &network.setup.registry_url(&digest), &[])
                .await
                .seconds,
        );
        outcomes.push(one_run(&network, case, &digest, run).await);
    }
    row(case, &outcomes, median(&mut direct))
}

async fn one_run(network: &TestNetwork, case: &CrowdCase, digest: &str, run: usize) -> Outcome {
    let host = |net: &Net| -> Host { case.links.map_or_else(|| net.host(), |rate| net.host_at(rate)) };
    let crowd = network
        .crowd(&format!("cold-crowd-{run}"), (1, case.nodes), host)
        .await;
    network.setup.registry.forget_requests();
    let before = crowd.usage();
    let pulls = crowd.nodes.iter().zip(&crowd.hosts);
    let pulls = pulls.map(|(node, host)| {
        let url = network.setup.url(node, digest);
        async move { curl(Some(host), &url, &[]).await }
    });
    let pulled: Vec<Fetched> = join_all(pulls).await;
    let times = || pulled.iter().map(|one| one.seconds);
    let (first, last) = (times().fold(f64::MAX, f64::min), times().fold(0.0, f64::max));
    #[expect(clippy::cast_precision_loss, reason = "sizes and rates")]
    let (size, ideal) = (
        case.size as f64,
        case.size as f64 / case.registry.bytes_a_second() as f64,
    );
    #[expect(clippy::cast_precision_loss, reason = "bytes of one run")]
    let egress = network.setup.registry.bytes_sent() as f64 / size;
    Outcome {
        wall: last / ideal,
        egress,
        spread: last / first,
        first_byte_ms: pulled.iter().map(|one| one.first_byte * 1e3).fold(0.0, f64::max),
        #[expect(clippy::cast_precision_loss, reason = "a few nodes")]
        processor: used(before, crowd.usage()) / (size / GIB * case.nodes as f64),
        peak_bytes: crowd.largest(),
    }
}

fn row(case: &CrowdCase, outcomes: &[Outcome], direct: f64) -> Row {
    let middle = |of: fn(&Outcome) -> f64| median(&mut outcomes.iter().map(of).collect::<Vec<f64>>());
    let (wall, egress, spread) = (
        middle(|it| it.wall),
        middle(|it| it.egress),
        middle(|it| it.spread),
    );
    #[expect(clippy::cast_precision_loss, reason = "sizes and rates")]
    let ideal = case.size as f64 / case.registry.bytes_a_second() as f64;
    let narrow = case.links.is_some();
    let peak = outcomes.iter().map(|it| it.peak_bytes).max().unwrap_or_default() >> 20;
    Row {
        scenario: format!("{}, stores in memory, median of {}", case.name, case.runs),
        ours: format!(
            "{:.2} s until the last node has it; registry sends {egress:.3} x the size; last {spread:.2} x the first",
            wall * ideal
        ),
        reference: format!("size / rate: {ideal:.2} s (one curl alone: {direct:.2} s)"),
        ratio: format!("{wall:.3}"),
        goal: format!(
            "<= {}, egress <= {EGRESS_GOAL}, last <= {SPREAD_GOAL} x first",
            case.goal
        ),
        met: wall <= case.goal && (narrow || (egress <= EGRESS_GOAL && spread <= SPREAD_GOAL)),
        processor: format!(
            "{:.2} (all peers, each GiB that a node got)",
            middle(|it| it.processor)
        ),
        memory: format!("{peak} MiB (the largest peer)"),
        first_byte: format!("{:.0} ms (the last one's)", middle(|it| it.first_byte_ms)),
    }
}
