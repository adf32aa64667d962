//! 10 layers of 8 MiB to an idle seed: the time from the POST until SUCCESS is visible, beside a plain download
//! of the same bytes from the same registry.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use world::harbor::{State, Wish};
use world::{Image, ImageSpec, LayerSpec, ManagerSpec, Peer, Registry};

use crate::load::median;
use crate::setup::plain_http;
use crate::table::Row;

const RUNS: u64 = 5;
const LAYERS: usize = 10;
const LAYER: u64 = 8 << 20;
const POLL: Duration = Duration::from_millis(5);
const GOAL_MS: f64 = 300.0;

pub(crate) async fn run() -> Vec<Row> {
    let registry = Registry::plain().await;
    let manager = ManagerSpec::new()
        .config(&plain_http(&registry.host()))
        .start()
        .await;
    let _seed = Peer::seed("seed", &manager).await;
    let (mut ours, mut references) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let image = ImageSpec::new(500 + run)
            .layers((0..LAYERS).map(|_| LayerSpec::of(LAYER)))
            .build();
        let tag = format!("v{run}");
        registry.push(&image, "bench/layers", &tag).await;
        references.push(download(&registry, &image).await);
        let mut harbor = manager.harbor();
        let begin = Instant::now();
        let wish = Wish::new(registry.manifest_url("bench/layers", &tag));
        let id = harbor.preheat(&wish).await.expect("taken").id;
        let state = loop {
            match harbor.poll(id).await.expect("polled").state {
                State::Pending => sleep(POLL).await,
                ended => break ended,
            }
        };
        assert_eq!(state, State::Success);
        ours.push(begin.elapsed().as_secs_f64() * 1_000.0);
    }
    let (ours, reference) = (median(&mut ours), median(&mut references));
    vec![Row {
        scenario: "10 layers x 8 MiB to an idle seed, POST to SUCCESS visible, median of 5".to_owned(),
        ours: format!("{ours:.0} ms"),
        reference: format!("plain download of the same bytes: {reference:.0} ms"),
        ratio: format!("{:.2}", ours / reference),
        goal: "reference + 300 ms".to_owned(),
        met: ours < reference + GOAL_MS,
        ..Row::default()
    }]
}

/// Downloads all layers at once, as a client does. Nothing is kept.
async fn download(registry: &Registry, image: &Image) -> f64 {
    let begin = Instant::now();
    let layers = image.layers().into_iter().map(|layer| async {
        let url = format!("{}/v2/bench/layers/blobs/{}", registry.url(), layer.digest);
        let mut answer = registry.client().get(url).send().await.expect("answered");
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.expect("whole") {
            bytes += chunk.len() as u64;
        }
        assert_eq!(bytes, layer.size);
    });
    join_all(layers).await;
    begin.elapsed().as_secs_f64() * 1_000.0
}
