//! `containerd-pull`: a real containerd pulls an image of ten layers: cold, from a preheated seed, and warm,
//! beside a direct pull of an equal image.

use std::time::Duration;

use world::harbor::Wish;
use world::{Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry};

use crate::load::median;
use crate::setup::plain_http;
use crate::table::Row;

const RUNS: u64 = 5;
const LAYERS: usize = 10;
const LAYER: u64 = 8 << 20;
const LIMIT: Duration = Duration::from_secs(120);
const REPOSITORY: &str = "bench/ten";

struct PullSetup {
    registry: Registry,
    manager: Manager,
    node: Peer,
    _seed: Peer,
    direct: Containerd,
    mirrored: Containerd,
    again: Containerd,
}

pub(crate) async fn run() -> Vec<Row> {
    let registry = Registry::plain().await;
    let manager = ManagerSpec::new()
        .config(&plain_http(&registry.host()))
        .start()
        .await;
    let seed = Peer::seed("seed", &manager).await;
    let node = Peer::node("node", &manager).await;
    let setting = PullSetup {
        direct: Containerd::start().await,
        mirrored: Containerd::start().await,
        again: Containerd::start().await,
        registry,
        manager,
        node,
        _seed: seed,
    };
    setting.direct.direct(&setting.registry);
    for containerd in [&setting.mirrored, &setting.again] {
        containerd.mirror_only(&setting.registry, &setting.node.front_url());
    }
    let mut seconds: [Vec<f64>; 4] = Default::default();
    for run in 0..RUNS {
        setting.one_run(run, &mut seconds).await;
    }
    let [mut direct, cold, seeded, warm] = seconds;
    let direct = median(&mut direct);
    let rows = [
        ("cold", cold, 1.05),
        ("from a preheated seed", seeded, 1.0),
        ("warm", warm, 1.0),
    ];
    rows.into_iter()
        .map(|(name, seconds, goal)| row(name, seconds, direct, goal))
        .collect()
}

impl PullSetup {
    async fn one_run(&self, run: u64, seconds: &mut [Vec<f64>; 4]) {
        let [direct, cold, seeded, warm] = seconds;
        let name = self.pushed(run * 3).await;
        direct.push(pull(&self.direct, &name).await);
        let name = self.pushed(run * 3 + 1).await;
        cold.push(pull(&self.mirrored, &name).await);
        warm.push(pull(&self.again, &name).await);
        let name = self.pushed(run * 3 + 2).await;
        self.preheated(run * 3 + 2).await;
        seeded.push(pull(&self.mirrored, &name).await);
    }

    async fn pushed(&self, number: u64) -> String {
        let image: Image = ImageSpec::new(700 + number)
            .layers((0..LAYERS).map(|_| LayerSpec::of(LAYER)))
            .build();
        let tag = format!("v{number}");
        self.registry.push(&image, REPOSITORY, &tag).await;
        format!("{}/{REPOSITORY}:{tag}", self.registry.host())
    }

    async fn preheated(&self, number: u64) {
        let mut harbor = self.manager.harbor();
        let wish = Wish::new(self.registry.manifest_url(REPOSITORY, &format!("v{number}")));
        let id = harbor.preheat(&wish).await.expect("taken").id;
        harbor.until_done(id, LIMIT).await;
    }
}

async fn pull(containerd: &Containerd, image: &str) -> f64 {
    containerd
        .pull(image, None)
        .await
        .expect("pulled")
        .took
        .as_secs_f64()
}

fn row(name: &str, mut seconds: Vec<f64>, direct: f64, goal: f64) -> Row {
    let ours = median(&mut seconds);
    Row {
        scenario: format!("containerd-pull: an image of 10 x 8 MiB, {name}, median of {RUNS}"),
        ours: format!("{ours:.2} s"),
        reference: format!("direct from docker-registry: {direct:.2} s"),
        ratio: format!("{:.2}", ours / direct),
        goal: if goal > 1.0 {
            format!("<= {goal}")
        } else {
            "faster".to_owned()
        },
        met: ours <= direct * goal,
        ..Row::default()
    }
}
