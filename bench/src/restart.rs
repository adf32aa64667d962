//! The restart of a peer that holds 10,000 objects, until it is ready, beside one that holds nothing.

use std::time::Instant;

use world::{ImageSpec, LayerSpec, Peer, PeerSpec};

use crate::client::each_once;
use crate::load::median;
use crate::setup::{REPOSITORY, ServingSetup, in_memory};
use crate::table::Row;

const OBJECTS: u64 = 10_000;
/// Layers of one image. More would make its manifest too large.
const LAYERS: u64 = 1_000;
const RUNS: usize = 5;
const GOAL: f64 = 1.0;

pub(crate) async fn run() -> Vec<Row> {
    let (setup, shelf) = (ServingSetup::new().await, in_memory());
    let start = |name: &str| {
        PeerSpec::node(name)
            .folder(shelf.path().join(name))
            .start(&setup.manager)
    };
    let (mut full, mut empty) = (start("full").await, start("empty").await);
    for seed in 0..OBJECTS / LAYERS {
        let image = ImageSpec::new(seed)
            .layers((0..LAYERS).map(|_| LayerSpec::plain(2_048)))
            .build();
        setup.registry.serve(&image, REPOSITORY);
        let paths: Vec<String> = image
            .layers()
            .iter()
            .map(|layer| setup.path(&layer.digest))
            .collect();
        each_once(&full.front_url(), &paths, 16).await;
    }
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(restart(&mut full).await);
        reference.push(restart(&mut empty).await);
    }
    let memory = full.usage().resident_bytes >> 20;
    let (ours, reference) = (median(&mut ours), median(&mut reference));
    vec![Row {
        scenario: format!("restart of a peer with 10,000 objects, until ready, median of {RUNS}"),
        ours: format!("{ours:.3} s"),
        reference: format!("with an empty store: {reference:.3} s"),
        ratio: format!("{:.1}", ours / reference),
        goal: format!("< {GOAL} s"),
        met: ours < GOAL,
        memory: format!("{memory} MiB at rest"),
        ..Row::default()
    }]
}

async fn restart(peer: &mut Peer) -> f64 {
    peer.stop().await;
    let begin = Instant::now();
    peer.start_again().await;
    begin.elapsed().as_secs_f64()
}
