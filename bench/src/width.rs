//! A registry that serves only so many requests at once and refuses others: the time of a preheat, beside one whose
//! `max_connections` was set to the right number by hand. 24 layers of 1 MiB, each of which takes 0.2 s.

use std::time::{Duration, Instant};

use world::{CountingRegistry, ImageSpec, LayerSpec, ManagerSpec, Peer, PeerSpec, Refusing};

use crate::setup::{in_memory, plain_http};
use crate::table::Row;

const LAYERS: u64 = 24;
const LAYER_TAKES: Duration = Duration::from_millis(200);
const GOAL: f64 = 1.2;
/// Status and seconds of `Retry-After`.
const REFUSALS: [(u16, Option<u64>); 3] = [(429, None), (429, Some(1)), (503, None)];

/// What one preheat took.
struct Taken {
    seconds: f64,
    succeeded: bool,
    refused: usize,
}

pub(crate) async fn run() -> Vec<Row> {
    let mut rows = Vec::new();
    for allowed in [16, 4, 2, 1] {
        let by_hand = preheat(allowed, REFUSALS[0], 1, Some(allowed)).await;
        for how in REFUSALS {
            for seeds in [1, 3] {
                let ours = preheat(allowed, how, seeds, None).await;
                rows.push(row(allowed, how, seeds, &ours, &by_hand));
            }
        }
    }
    rows
}

async fn preheat(
    allowed: usize,
    (status, retry_after): (u16, Option<u64>),
    seeds: usize,
    by_hand: Option<usize>,
) -> Taken {
    let image = ImageSpec::new(98)
        .layers((0..LAYERS).map(|_| LayerSpec::plain(1 << 20)))
        .build();
    let how = Refusing {
        allowed,
        status,
        retry_after,
        layer_takes: LAYER_TAKES,
    };
    let registry = CountingRegistry::start(image, how).await;
    let limit = by_hand.map_or_else(String::new, |limit| format!("max_connections = {limit}\n"));
    let manager = ManagerSpec::new().config(&(plain_http(registry.host()) + &limit));
    let manager = manager.start().await;
    let stores = in_memory();
    let mut peers: Vec<Peer> = Vec::new();
    for number in 0..seeds {
        let name = format!("seed-{number}");
        let spec = PeerSpec::seed(&name).folder(stores.path().join(&name));
        peers.push(spec.start(&manager).await);
    }
    let url = format!("http://{}/library/app:v1", registry.host());
    let began = Instant::now();
    let output = manager.stoker(&["preheat", "--wait", &url]).await;
    Taken {
        seconds: began.elapsed().as_secs_f64(),
        succeeded: output.status.success(),
        refused: registry.counts().refused,
    }
}

fn row(
    allowed: usize,
    (status, retry_after): (u16, Option<u64>),
    seeds: usize,
    ours: &Taken,
    by_hand: &Taken,
) -> Row {
    let asks = retry_after.map_or_else(String::new, |seconds| format!(" with Retry-After: {seconds}"));
    let end = if ours.succeeded { "" } else { "FAILED, " };
    let ratio = ours.seconds / by_hand.seconds;
    Row {
        scenario: format!("width: {allowed} at once, {status}{asks}, {seeds} seed(s)"),
        ours: format!("{end}{:.2} s, {} refused", ours.seconds, ours.refused),
        reference: format!("max_connections by hand, 1 seed: {:.2} s", by_hand.seconds),
        ratio: format!("{ratio:.2}"),
        goal: format!("at most {GOAL}"),
        met: ours.succeeded && ratio <= GOAL,
        ..Row::default()
    }
}
