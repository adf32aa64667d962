//! Pulls with faults on the way: the seconds that they add, and wrong bytes that came out (none, ever).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::sleep;
use world::{ManagerSpec, Net, Peer, PeerSpec, Rate};

use crate::client::proven;
use crate::faulty_proxy::{Fault, FaultyProxy};
use crate::load::median;
use crate::network::TestNetwork;
use crate::setup::{REPOSITORY, digests, in_memory, plain_http, served};
use crate::table::Row;

const SIZE: u64 = 256 << 20;
const CHUNK: u64 = 1 << 20;
const REGISTRY_RATE: Rate = Rate::megabytes(50);
const RUNS: usize = 3;
const KILLED_AFTER: Duration = Duration::from_secs(2);

/// The result of one run.
struct Run {
    seconds: f64,
    digest: Option<String>,
    faults_made: u64,
}

pub(crate) async fn run() -> Vec<Row> {
    let network = TestNetwork::new().await;
    network.registry.limit_outgoing(REGISTRY_RATE);
    let digest = digests(&served(&network.setup, 6, [SIZE])).remove(0);
    let mut calm = Vec::new();
    for run in 0..RUNS {
        let crowd = network.crowd(&format!("calm-{run}"), (1, 1), Net::host).await;
        calm.push(
            proven(&crowd.nodes[0].front_url(), &network.setup.path(&digest))
                .await
                .0,
        );
    }
    let calm = median(&mut calm);
    let runs = each(RUNS, |run| seed_killed(&network, &digest, run)).await;
    let mut rows = vec![row("its seed is killed in the middle", calm, &digest, &runs)];
    for (name, fault, times) in [
        (
            "its only parent flips a byte in every 50th chunk",
            Fault::FlipEach(50 * CHUNK),
            RUNS,
        ),
        // Once only: without a faster source it takes minutes.
        ("its only parent sends 1 MB/s", Fault::Slow(1_000_000), 1),
    ] {
        let runs = each(times, |run| bad_parent(&network, &digest, fault, run)).await;
        rows.push(row(name, calm, &digest, &runs));
    }
    let runs = each(RUNS, |run| registry_cut(&network, &digest, run)).await;
    rows.push(row(
        "the registry cuts the first answer in the middle",
        calm,
        &digest,
        &runs,
    ));
    rows
}

async fn each<F: Future<Output = Run>>(times: usize, mut one: impl FnMut(usize) -> F) -> Vec<Run> {
    let mut runs = Vec::new();
    for run in 0..times {
        runs.push(one(run).await);
    }
    runs
}

/// Two seeds; the one that relays for the node is killed.
async fn seed_killed(network: &TestNetwork, digest: &str, run: usize) -> Run {
    let mut crowd = network.crowd(&format!("killed-{run}"), (2, 1), Net::host).await;
    let (base, path) = (crowd.nodes[0].front_url(), network.setup.path(digest));
    let pull = async { proven(&base, &path).await };
    let kill = async {
        sleep(KILLED_AFTER).await;
        // The seed that did the work.
        if let Some(busy) = crowd.seeds.iter_mut().max_by_key(|seed| seed.usage().processor) {
            busy.kill9();
        }
    };
    let ((seconds, digest), ()) = tokio::join!(pull, kill);
    Run {
        seconds,
        digest,
        faults_made: 1,
    }
}

/// One seed that holds the object, behind a faulty proxy. The registry has it too.
async fn bad_parent(network: &TestNetwork, digest: &str, fault: Fault, run: usize) -> Run {
    let (shelf, cluster) = (in_memory(), format!("bad-{}-{run}", fault_number(fault)));
    let seed = seed_behind(network, &cluster, &shelf, fault).await;
    let (_, got) = proven(&seed.peer.front_url(), &network.setup.path(digest)).await;
    assert_eq!(got.as_deref(), Some(digest));
    let node = PeerSpec::node("node").cluster(&cluster).on(&network.net.host());
    let node = node
        .folder(shelf.path().join("node"))
        .start(&network.setup.manager)
        .await;
    let (seconds, digest) = proven(&node.front_url(), &network.setup.path(digest)).await;
    if digest.is_none() {
        // The log line comes after the connection is cut.
        sleep(Duration::from_millis(300)).await;
        print_log_of(&node);
    }
    Run {
        seconds,
        digest,
        faults_made: seed.proxy.faults_made(),
    }
}

/// Prints what the node logged about a pull that broke off.
#[expect(clippy::print_stderr, reason = "progress of a benchmark")]
fn print_log_of(node: &Peer) {
    let log = node.log();
    for line in log
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains("stoker.result"))
    {
        eprintln!("{line}");
    }
}

struct SeedBehind {
    peer: Peer,
    proxy: FaultyProxy,
}

async fn seed_behind(
    network: &TestNetwork,
    cluster: &str,
    shelf: &tempfile::TempDir,
    fault: Fault,
) -> SeedBehind {
    let address = Arc::new(OnceLock::new());
    let known = address.clone();
    let server = move || known.get().cloned().unwrap_or_default();
    let proxy = FaultyProxy::before(network.net.own_address(), server, fault).await;
    let peer = PeerSpec::seed(cluster)
        .cluster(cluster)
        .on(&network.net.host())
        .argument("--advertise")
        .argument(proxy.address())
        .folder(shelf.path().join("seed"))
        .start(&network.setup.manager)
        .await;
    let _ = address.set(peer.share_url().trim_start_matches("https://").to_owned());
    SeedBehind { peer, proxy }
}

fn fault_number(fault: Fault) -> &'static str {
    match fault {
        Fault::FlipEach(_) => "flip",
        Fault::Slow(_) => "slow",
        Fault::CutOnceAt(_) => "cut",
    }
}

/// The peers know the proxy as the registry.
async fn registry_cut(network: &TestNetwork, digest: &str, run: usize) -> Run {
    let shelf = in_memory();
    let server = network.setup.registry.host();
    let proxy = FaultyProxy::before(
        network.net.own_address(),
        move || server.clone(),
        Fault::CutOnceAt(SIZE / 2),
    )
    .await;
    let described = plain_http(proxy.address());
    let manager = ManagerSpec::new()
        .on(&network.net.host())
        .config(&described)
        .start()
        .await;
    let start = |spec: PeerSpec, name: &str| {
        let spec = spec.folder(shelf.path().join(format!("{name}-{run}")));
        spec.on(&network.net.host()).start(&manager)
    };
    let _seed = start(PeerSpec::seed("seed"), "seed").await;
    let node = start(PeerSpec::node("node"), "node").await;
    let registry = proxy.address().replace(':', "%3A");
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}?ns={registry}");
    let (seconds, digest) = proven(&node.front_url(), &path).await;
    Run {
        seconds,
        digest,
        faults_made: proxy.faults_made(),
    }
}

fn row(name: &str, calm: f64, digest: &str, runs: &[Run]) -> Row {
    let seconds = median(&mut runs.iter().map(|run| run.seconds).collect::<Vec<f64>>());
    let wrong = runs
        .iter()
        .filter(|run| run.digest.as_deref().is_some_and(|got| got != digest))
        .count();
    let broken = runs.iter().filter(|run| run.digest.is_none()).count();
    let faults_made = runs.iter().map(|run| run.faults_made).sum::<u64>();
    Row {
        scenario: format!(
            "fault: a node pulls 256 MiB, registry 50 MB/s; {name}, median of {}",
            runs.len()
        ),
        ours: format!("{seconds:.2} s; {wrong} wrong, {broken} broken off ({faults_made} faults)"),
        reference: format!("without faults: {calm:.2} s"),
        ratio: format!("+{:.2} s", seconds - calm),
        goal: "0 wrong, 0 broken off".to_owned(),
        met: wrong == 0 && broken == 0 && faults_made > 0,
        ..Row::default()
    }
    .printed()
}
