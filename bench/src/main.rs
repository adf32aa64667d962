//! The benchmarks. Each row stands beside a reference that was measured in the same run, on the same machine:
//! the ratio carries over to another machine, the figures do not.
//!
//! `make bench` runs them all on release builds; `bench --only submit` runs one.

mod footprint;
mod load;
mod small_image;
mod submit;
mod table;
mod tracing;

use clap::{Parser, ValueEnum};
use table::Row;

#[derive(Parser)]
struct Arguments {
    /// Run only this one.
    #[arg(long)]
    only: Option<Scenario>,
    /// How long `submit` sends requests.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// 1,000 requests a second for 30 s, then kill -9 and count.
    Submit,
    /// 10 layers of 8 MiB to an idle seed.
    SmallImage,
    /// Memory of manager and peer.
    Footprint,
    /// The same work with traces and without, and with collectors that do not do their part.
    Tracing,
}

#[tokio::main]
async fn main() {
    let Arguments { only, seconds } = Arguments::parse();
    let wanted = |scenario| only.is_none_or(|only| only == scenario);
    let mut rows: Vec<Row> = Vec::new();
    if wanted(Scenario::Footprint) {
        rows.extend(footprint::run().await);
    }
    if wanted(Scenario::SmallImage) {
        rows.extend(small_image::run().await);
    }
    if wanted(Scenario::Submit) {
        rows.extend(submit::run(seconds).await);
    }
    if wanted(Scenario::Tracing) {
        rows.extend(tracing::run().await);
    }
    table::print(&rows);
    table::print_json(&rows);
}

/// How peers reach this registry.
fn described(registry: &world::Registry) -> String {
    format!("[registry.\"{}\"]\nplain_http = true\n", registry.host())
}
