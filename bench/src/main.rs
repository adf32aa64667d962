//! The benchmarks. Each row has a reference that was measured in the same run on the same machine: ratios can be
//! compared between machines, absolute figures cannot.
//!
//! `make bench` runs all of them on release builds. `bench --only submit` runs one, `--save NAME` keeps the
//! results.

mod client;
mod cold_crowd;
mod cold_large;
mod cold_small;
mod network;

mod containerd_pull;
mod faults;
mod faulty_proxy;
mod footprint;
mod limits;
mod load;
mod machine;
mod measure;
mod peer_memory;
mod readers;
mod restart;
mod setup;
mod small_image;
mod submit;
mod table;
mod tracing;
mod warm;
mod width;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use table::Row;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Arguments {
    /// Run only these: `--only warm-large,warm-small`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// How long `submit` sends requests.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Write the table and its JSON to this path, with a description of the machine:
    /// `bench/results/my-machine`.
    #[arg(long)]
    save: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// 1,000 requests a second for 30 s, then kill -9 and a count.
    Submit,
    /// A preheat of 10 layers of 8 MiB on an idle seed.
    SmallImage,
    /// Memory of manager and peer.
    Footprint,
    /// The same work with and without traces, and with faulty collectors.
    Tracing,
    /// 1 GiB that the peer holds, compared with nginx.
    WarmLarge,
    /// 1 GiB that no peer holds, or only the seed, compared with a download.
    ColdLarge,
    /// 4, 8 and 16 nodes that pull the same object at once.
    ColdCrowd,
    /// 8 nodes that pull the same object at once over narrow links.
    ColdCrowdNarrow,
    /// Small objects that the peer holds, compared with nginx.
    WarmSmall,
    /// Small objects that no peer holds.
    ColdSmall,
    /// Ranges of an object that the peer holds, compared with nginx.
    WarmRanges,
    /// One range of an object that no peer holds.
    ColdRange,
    /// Pulls by a real containerd: cold, seeded and warm.
    ContainerdPull,
    /// Memory of a peer at rest, and after serving 100 GB.
    PeerMemory,
    /// Bandwidth limits of a peer and of a cluster.
    Limits,
    /// Preheats from a registry that serves only so many requests at once.
    Width,
    /// Pulls with faults on the way.
    Faults,
    /// 64 readers of one object, half of them slow.
    Readers,
    /// The restart of a peer with 10,000 objects.
    Restart,
}

impl Scenario {
    async fn run(self, seconds: u64) -> Vec<Row> {
        match self {
            Self::Submit => submit::run(seconds).await,
            Self::SmallImage => small_image::run().await,
            Self::Footprint => footprint::run().await,
            Self::Tracing => tracing::run().await,
            Self::WarmLarge => warm::large().await,
            Self::ColdLarge => cold_large::run().await,
            Self::ColdCrowd => cold_crowd::run().await,
            Self::ColdCrowdNarrow => cold_crowd::narrow_links().await,
            Self::WarmSmall => warm::small_objects().await,
            Self::ColdSmall => cold_small::small_objects().await,
            Self::WarmRanges => warm::ranges().await,
            Self::ColdRange => cold_small::one_range().await,
            Self::ContainerdPull => containerd_pull::run().await,
            Self::PeerMemory => peer_memory::run().await,
            Self::Limits => limits::run().await,
            Self::Width => width::run().await,
            Self::Faults => faults::run().await,
            Self::Readers => readers::run().await,
            Self::Restart => restart::run().await,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::select! {
        done = run_all(arguments) => done,
        // Programs that were started end with the values that are dropped here; a signal alone would leave them
        // running.
        () = stop_signal() => anyhow::bail!("stopped"),
    }
}

async fn run_all(Arguments { only, seconds, save }: Arguments) -> anyhow::Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for scenario in Scenario::value_variants() {
        if only.is_empty() || only.contains(scenario) {
            let done = scenario.run(seconds).await;
            table::print(&done);
            rows.extend(done);
            // After each scenario: the others may fail, and take their time.
            if let Some(name) = &save {
                table::save(&rows, name)?;
            }
        }
    }
    table::print(&rows);
    table::print_json(&rows);
    Ok(())
}

async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
