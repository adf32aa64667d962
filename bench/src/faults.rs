//! Pulls while something goes wrong: seconds that it adds, and wrong bytes that came out (none, ever).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::sleep;
use world::{ManagerSpec, Net, Peer, PeerSpec, Rate};

use crate::client::proven;
use crate::faulty_proxy::{Fault, Weather};
use crate::load::median;
use crate::network::Wire;
use crate::setup::{REPOSITORY, digests, in_memory, served};
use crate::table::Row;

const SIZE: u64 = 256 << 20;
const CHUNK: u64 = 1 << 20;
const ORIGIN: Rate = Rate::megabytes(50);
const RUNS: usize = 3;
const KILLED_AFTER: Duration = Duration::from_secs(2);

/// How a run went.
struct Run {
    seconds: f64,
    digest: Option<String>,
    struck: u64,
}

pub(crate) async fn run() -> Vec<Row> {
    let wire = Wire::new().await;
    wire.origin.limit_outgoing(ORIGIN);
    let digest = digests(&served(&wire.stage, 6, [SIZE])).remove(0);
    let mut calm = Vec::new();
    for run in 0..RUNS {
        let crowd = wire.crowd(&format!("calm-{run}"), (1, 1), Net::host).await;
        calm.push(
            proven(&crowd.nodes[0].front_url(), &wire.stage.path(&digest))
                .await
                .0,
        );
    }
    let calm = median(&mut calm);
    let runs = each(RUNS, |run| seed_killed(&wire, &digest, run)).await;
    let mut rows = vec![row("its seed is killed in the middle", calm, &digest, &runs)];
    for (name, fault, times) in [
        (
            "its only parent flips a byte in every 50th chunk",
            Fault::FlipEach(50 * CHUNK),
            RUNS,
        ),
        // Once: should nobody come to the rescue, it takes minutes.
        ("its only parent sends 1 MB/s", Fault::Slow(1_000_000), 1),
    ] {
        let runs = each(times, |run| bad_parent(&wire, &digest, fault, run)).await;
        rows.push(row(name, calm, &digest, &runs));
    }
    let runs = each(RUNS, |run| origin_cut(&wire, &digest, run)).await;
    rows.push(row(
        "the origin cuts the first answer in the middle",
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

/// Two seeds, and the one that reads for the node dies.
async fn seed_killed(wire: &Wire, digest: &str, run: usize) -> Run {
    let mut crowd = wire.crowd(&format!("killed-{run}"), (2, 1), Net::host).await;
    let (base, path) = (crowd.nodes[0].front_url(), wire.stage.path(digest));
    let pull = async { proven(&base, &path).await };
    let kill = async {
        sleep(KILLED_AFTER).await;
        // The one that has worked for it.
        if let Some(busy) = crowd.seeds.iter_mut().max_by_key(|seed| seed.usage().processor) {
            busy.kill9();
        }
    };
    let ((seconds, digest), ()) = tokio::join!(pull, kill);
    Run {
        seconds,
        digest,
        struck: 1,
    }
}

/// One seed that has it, behind a wire that is bad; the origin has it too.
async fn bad_parent(wire: &Wire, digest: &str, fault: Fault, run: usize) -> Run {
    let (shelf, cluster) = (in_memory(), format!("bad-{}-{run}", fault_number(fault)));
    let seed = seed_behind(wire, &cluster, &shelf, fault).await;
    let (_, got) = proven(&seed.peer.front_url(), &wire.stage.path(digest)).await;
    assert_eq!(got.as_deref(), Some(digest));
    let node = PeerSpec::node("node").cluster(&cluster).on(&wire.net.host());
    let node = node
        .folder(shelf.path().join("node"))
        .start(&wire.stage.manager)
        .await;
    let (seconds, digest) = proven(&node.front_url(), &wire.stage.path(digest)).await;
    if digest.is_none() {
        // It writes its line after the connection is cut.
        sleep(Duration::from_millis(300)).await;
        tell_why(&node);
    }
    Run {
        seconds,
        digest,
        struck: seed.weather.struck(),
    }
}

/// The node's own words about a pull that broke off.
#[expect(clippy::print_stderr, reason = "progress of a benchmark")]
fn tell_why(node: &Peer) {
    let log = node.log();
    for line in log
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains("told::line"))
    {
        eprintln!("{line}");
    }
}

struct SeedBehind {
    peer: Peer,
    weather: Weather,
}

async fn seed_behind(wire: &Wire, cluster: &str, shelf: &tempfile::TempDir, fault: Fault) -> SeedBehind {
    let address = Arc::new(OnceLock::new());
    let known = address.clone();
    let server = move || known.get().cloned().unwrap_or_default();
    let weather = Weather::before(wire.net.own_address(), server, fault).await;
    let peer = PeerSpec::seed(cluster)
        .cluster(cluster)
        .on(&wire.net.host())
        .argument("--advertise")
        .argument(weather.address())
        .folder(shelf.path().join("seed"))
        .start(&wire.stage.manager)
        .await;
    let _ = address.set(peer.share_url().trim_start_matches("https://").to_owned());
    SeedBehind { peer, weather }
}

fn fault_number(fault: Fault) -> &'static str {
    match fault {
        Fault::FlipEach(_) => "flip",
        Fault::Slow(_) => "slow",
        Fault::CutOnceAt(_) => "cut",
    }
}

/// The registry that the peers know is the proxy before the origin.
async fn origin_cut(wire: &Wire, digest: &str, run: usize) -> Run {
    let shelf = in_memory();
    let server = wire.stage.origin.host();
    let weather = Weather::before(
        wire.net.own_address(),
        move || server.clone(),
        Fault::CutOnceAt(SIZE / 2),
    )
    .await;
    let described = format!("[registry.\"{}\"]\nplain_http = true\n", weather.address());
    let manager = ManagerSpec::new()
        .on(&wire.net.host())
        .config(&described)
        .start()
        .await;
    let start = |spec: PeerSpec, name: &str| {
        let spec = spec.folder(shelf.path().join(format!("{name}-{run}")));
        spec.on(&wire.net.host()).start(&manager)
    };
    let _seed = start(PeerSpec::seed("seed"), "seed").await;
    let node = start(PeerSpec::node("node"), "node").await;
    let registry = weather.address().replace(':', "%3A");
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}?ns={registry}");
    let (seconds, digest) = proven(&node.front_url(), &path).await;
    Run {
        seconds,
        digest,
        struck: weather.struck(),
    }
}

fn row(name: &str, calm: f64, digest: &str, runs: &[Run]) -> Row {
    let seconds = median(&mut runs.iter().map(|run| run.seconds).collect::<Vec<f64>>());
    let wrong = runs
        .iter()
        .filter(|run| run.digest.as_deref().is_some_and(|got| got != digest))
        .count();
    let broken = runs.iter().filter(|run| run.digest.is_none()).count();
    let struck = runs.iter().map(|run| run.struck).sum::<u64>();
    Row {
        scenario: format!(
            "fault: a node pulls 256 MiB, origin 50 MB/s; {name}, median of {}",
            runs.len()
        ),
        ours: format!("{seconds:.2} s; {wrong} wrong, {broken} broken off ({struck} faults)"),
        reference: format!("nothing goes wrong: {calm:.2} s"),
        ratio: format!("+{:.2} s", seconds - calm),
        goal: "0 wrong, 0 broken off".to_owned(),
        met: wrong == 0 && broken == 0 && struck > 0,
        ..Row::default()
    }
    .told()
}
