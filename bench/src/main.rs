//! The benchmarks. Each row stands beside a reference that was measured in the same run, on the same machine:
//! the ratio carries over to another machine, the figures do not.
//!
//! `make bench` runs them all on release builds; `bench --only submit` runs one, `--save NAME` keeps what came out.

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

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use table::Row;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Arguments {
    /// Run only these: `--only p1,p4`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// How long `submit` sends requests.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Write the table and its JSON there, with what this machine is: `bench/results/my-machine`.
    #[arg(long)]
    save: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// 1,000 requests a second for 30 s, then kill -9 and count.
    Submit,
    /// 10 layers of 8 MiB to an idle seed.
    SmallImage,
    /// Memory of manager and peer.
    Footprint,
    /// The same work with traces and without, and with collectors that do not do their part.
    Tracing,
    /// 1 GiB that the peer holds, beside nginx.
    P1,
    /// 1 GiB that nobody has, or only the seed, beside a download.
    P2,
    /// 4, 8 and 16 nodes that want the same at once.
    P3,
    /// … where every link is narrow.
    P3b,
    /// Small objects that the peer holds, beside nginx.
    P4,
    /// … that nobody holds.
    P4Cold,
    /// Parts of an object that the peer holds, beside nginx.
    P5,
    /// One part of an object that nobody holds.
    P5Cold,
    /// A real containerd, cold, seeded and warm.
    P5b,
    /// Memory at rest, and after 100 GB.
    P9,
    /// What a peer and a cluster may take.
    Limits,
    /// Pulls while something goes wrong.
    Faults,
    /// 64 readers of one object, half of them slow.
    Readers,
    /// A peer with 10,000 objects starts again.
    Restart,
}

impl Scenario {
    async fn run(self, seconds: u64) -> Vec<Row> {
        match self {
            Self::Submit => submit::run(seconds).await,
            Self::SmallImage => small_image::run().await,
            Self::Footprint => footprint::run().await,
            Self::Tracing => tracing::run().await,
            Self::P1 => warm::one_gibibyte().await,
            Self::P2 => cold_large::run().await,
            Self::P3 => cold_crowd::run().await,
            Self::P3b => cold_crowd::narrow_links().await,
            Self::P4 => warm::small_objects().await,
            Self::P4Cold => cold_small::small_objects().await,
            Self::P5 => warm::ranges().await,
            Self::P5Cold => cold_small::one_range().await,
            Self::P5b => containerd_pull::run().await,
            Self::P9 => peer_memory::run().await,
            Self::Limits => limits::run().await,
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
        done = all(arguments) => done,
        // What was started goes with the values that are dropped here; a signal alone would leave it running.
        () = told_to_stop() => anyhow::bail!("stopped"),
    }
}

async fn all(Arguments { only, seconds, save }: Arguments) -> anyhow::Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for scenario in Scenario::value_variants() {
        if only.is_empty() || only.contains(scenario) {
            let done = scenario.run(seconds).await;
            table::print(&done);
            rows.extend(done);
            // After each: the rest may fail, and takes its time.
            if let Some(name) = &save {
                table::save(&rows, name)?;
            }
        }
    }
    table::print(&rows);
    table::print_json(&rows);
    Ok(())
}

async fn told_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// How peers reach this registry.
fn described(registry: &world::Registry) -> String {
    format!("[registry.\"{}\"]\nplain_http = true\n", registry.host())
}
