//! The cost of traces: the same work on a program without traces and on one that exports all, in turn, so that
//! other work of the machine hits both. Then the same with a collector that is dead, slow or refuses.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use reqwest::Client;
use tokio::time::Instant;
use world::harbor::Wish;
use world::{Collector, ImageSpec, LayerSpec, Manager, ManagerSpec, Mood, Port, Registry};

use crate::load::Pairs;
use crate::setup::plain_http;
use crate::submit::{drain, post};
use crate::table::Row;

/// Odd, so that the median is one of the values.
const PAIRS: usize = 31;
/// A burst of preheats must end before the next turn, which takes seconds.
const PAIRS_OF_POSTS: usize = 11;
const GIB: u64 = 1 << 30;
const SMALL: u64 = 64 << 10;
const SMALL_OBJECTS: usize = 16;
const SMALL_READS: usize = 1_500;
const READERS: usize = 8;
const POSTS: u64 = 400;
const POSTERS: usize = 64;
const LIMIT: Duration = Duration::from_secs(300);
const SMALL_GETS: &str = "1,500 warm GETs of 64 KiB, 8 readers";
const TRACED: &str = "traced beside untraced";
const REPOSITORY: &str = "bench/traced";
/// Enough reads to show a growth of memory: each makes a span.
const READS_FOR_MEMORY: usize = 40_000;
const GROWTH_MIB: u64 = 8;

/// Manager, seed and node in one process, with everything in its store.
struct Stack {
    program: Manager,
    client: Client,
    big: String,
    small: Vec<String>,
}

pub(crate) async fn run() -> Vec<Row> {
    let registry = images().await;
    let off = Stack::start(&registry, None).await;
    let mut rows = Vec::new();
    {
        let also_off = Stack::start(&registry, None).await;
        let scenario = format!("{SMALL_GETS}: BOTH untraced, what this machine can tell apart");
        rows.push(seconds(&scenario, &off, &also_off, Stack::read_small).await);
    }
    {
        let collector = Collector::start(Mood::Takes).await;
        let on = Stack::start(&registry, Some(&collector.url())).await;
        rows.push(
            seconds(
                &format!("warm GET of 1 GiB: {TRACED}"),
                &off,
                &on,
                Stack::read_big,
            )
            .await,
        );
        rows.push(seconds(&format!("{SMALL_GETS}: {TRACED}"), &off, &on, Stack::read_small).await);
        rows.push(posts(&registry, &off, &on).await);
    }
    let slow = Collector::start(Mood::Slow).await;
    let refusing = Collector::start(Mood::Refuses).await;
    let dead = format!("http://{}", Port::free());
    for (collector, url) in [("dead", dead), ("slow", slow.url()), ("refusing", refusing.url())] {
        let on = Stack::start(&registry, Some(&url)).await;
        let scenario = format!("{SMALL_GETS}, collector {collector}: {TRACED}");
        rows.push(seconds(&scenario, &off, &on, Stack::read_small).await);
        rows.push(memory(collector, &on).await);
    }
    rows
}

async fn images() -> Registry {
    let registry = Registry::plain().await;
    let big = ImageSpec::new(700).layers([LayerSpec::plain(GIB)]).build();
    registry.push(&big, REPOSITORY, "big").await;
    let layers = (0..SMALL_OBJECTS).map(|_| LayerSpec::plain(SMALL));
    let small = ImageSpec::new(701).layers(layers).build();
    registry.push(&small, REPOSITORY, "small").await;
    registry
}

impl Stack {
    async fn start(registry: &Registry, collector: Option<&str>) -> Self {
        let mut spec = ManagerSpec::new().config(&plain_http(&registry.host()));
        spec = match collector {
            Some(url) => spec.environment("OTEL_EXPORTER_OTLP_ENDPOINT", url),
            None => spec.environment("OTEL_SDK_DISABLED", "true"),
        };
        let program = spec.start_up().await;
        let mut harbor = program.harbor();
        for tag in ["big", "small"] {
            let wish = Wish::new(registry.manifest_url(REPOSITORY, tag));
            let id = harbor.preheat(&wish).await.expect("taken").id;
            harbor.until_done(id, LIMIT).await;
        }
        let layers = |seed: u64, specs: Vec<LayerSpec>| ImageSpec::new(seed).layers(specs).build();
        let url = |digest: &str| {
            let registry = registry.host().replace(':', "%3A");
            format!(
                "{}/v2/{REPOSITORY}/blobs/{digest}?ns={registry}",
                program.front_url()
            )
        };
        let big = layers(700, vec![LayerSpec::plain(GIB)]);
        let small = layers(701, (0..SMALL_OBJECTS).map(|_| LayerSpec::plain(SMALL)).collect());
        Self {
            big: url(&big.layers()[0].digest),
            small: small.layers().iter().map(|layer| url(&layer.digest)).collect(),
            client: registry.client().clone(),
            program,
        }
    }

    async fn read_big(&self) {
        assert_eq!(read(&self.client, &self.big).await, GIB);
    }

    async fn read_small(&self) {
        self.read_small_times(SMALL_READS).await;
    }

    async fn read_small_times(&self, times: usize) {
        let reads = stream::iter(self.small.iter().cycle().take(times));
        reads
            .for_each_concurrent(READERS, |url| async move {
                assert_eq!(read(&self.client, url).await, SMALL);
            })
            .await;
    }
}

async fn read(client: &Client, url: &str) -> u64 {
    let mut answer = client.get(url).send().await.expect("answered");
    assert!(answer.status().is_success(), "{}", answer.status());
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await.expect("whole") {
        bytes += chunk.len() as u64;
    }
    bytes
}

/// Measures both in turn, each pair in the other order than the one before.
async fn seconds(what: &str, off: &Stack, on: &Stack, work: impl AsyncFn(&Stack)) -> Row {
    for stack in [off, on] {
        work(stack).await;
    }
    let mut pairs = Pairs::default();
    for turn in 0..PAIRS {
        let timed = async |stack: &Stack| {
            let begin = Instant::now();
            work(stack).await;
            begin.elapsed().as_secs_f64()
        };
        let (without, with) = if turn % 2 == 0 {
            let without = timed(off).await;
            (without, timed(on).await)
        } else {
            let with = timed(on).await;
            (timed(off).await, with)
        };
        pairs.add(with, without);
    }
    pairs.row(what)
}

/// Posts as fast as they are answered. All preheats end before the next turn.
async fn posts(registry: &Registry, off: &Stack, on: &Stack) -> Row {
    let burst = async |stack: &Stack| {
        let begin = Instant::now();
        let requests = (0..POSTS).map(|_| {
            post(
                &stack.client,
                &stack.program,
                &registry.manifest_url(REPOSITORY, "small"),
            )
        });
        let ids: Vec<i64> = stream::iter(requests)
            .buffer_unordered(POSTERS)
            .map(|id| id.expect("taken"))
            .collect()
            .await;
        let took = begin.elapsed().as_secs_f64();
        let drained = drain(&stack.client, &stack.program, &ids).await;
        assert_eq!(drained.ended, ids.len());
        took
    };
    join_all([burst(off), burst(on)]).await;
    let mut pairs = Pairs::default();
    for turn in 0..PAIRS_OF_POSTS {
        let (without, with) = if turn % 2 == 0 {
            let without = burst(off).await;
            (without, burst(on).await)
        } else {
            let with = burst(on).await;
            (burst(off).await, with)
        };
        pairs.add(with, without);
    }
    pairs.row(&format!("400 POST /oapi/v1/jobs, 64 at a time: {TRACED}"))
}

/// The memory after many spans that are not taken, beside the memory after the first thousands.
async fn memory(collector: &str, on: &Stack) -> Row {
    let before = on.program.resident_bytes() >> 20;
    on.read_small_times(READS_FOR_MEMORY).await;
    let after = on.program.resident_bytes() >> 20;
    let metrics = on
        .client
        .get(format!("{}/metrics", on.program.admin_url()))
        .send()
        .await;
    let metrics = metrics.expect("answered").text().await.expect("text");
    let lost: f64 = metrics
        .lines()
        .filter_map(|line| {
            line.strip_prefix("stoker_spans_lost_total")?
                .rsplit(' ')
                .next()?
                .parse::<f64>()
                .ok()
        })
        .sum();
    Row {
        scenario: format!("RSS after {READS_FOR_MEMORY} more spans, collector {collector}"),
        ours: format!("{after} MiB, {lost} spans counted as lost"),
        reference: format!("before them: {before} MiB"),
        ratio: String::new(),
        goal: format!("< {GROWTH_MIB} MiB more, losses counted"),
        met: after < before + GROWTH_MIB && lost > 0.0,
        ..Row::default()
    }
}
