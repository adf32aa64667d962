//! `stoker demo`: shows a preheat and the pulls after it in about a minute, in one process and a temporary folder.
//!
//! It checks everything that it prints; the exit code is 1 if a check fails.

mod bars;
mod closing;
mod fleet;
mod harbor;
mod image;
mod jaeger;
mod pull;
mod registry;
mod size;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::types::PreheatBody;
use clap::Args;
use process::Vitals;
use process::telemetry::{self, TelemetryOptions};
use tokio::time::Instant;

use self::closing::Closing;
use self::fleet::Fleet;
use self::image::SampleImage;
use self::jaeger::Jaeger;
use self::registry::{REPOSITORY, SampleRegistry, TAG};
use self::size::Size;
use super::output;
use super::stop::Stop;
use crate::config::trace_preheats_not_polls;

const GRACE: Duration = Duration::from_secs(3);

/// Show a preheat and the pulls after it, in about a minute and with nothing else installed.
///
/// A sample registry, a manager, two seeds and three nodes run in this process, on loopback and in a temporary
/// folder. A request like Harbor's preheats an image. Then the registry stops, and every node still pulls the image.
#[derive(Debug, Args)]
#[command(after_help = "\
The temporary folder needs about four times --size; TMPDIR sets its place.

Examples:
  stoker demo
  stoker demo --size 1GiB
  stoker demo --jaeger localhost
  RUST_LOG=info stoker demo --keep")]
pub(crate) struct DemoArguments {
    /// Size of the sample image with all its platforms.
    #[arg(long, default_value = "200MiB", value_name = "SIZE")]
    size: Size,
    /// Keep the temporary folder.
    #[arg(long)]
    keep: bool,
    /// Send traces to this Jaeger: host, host:port or URL of its OTLP port. [default port: 4317]
    #[arg(long, value_name = "ADDR")]
    jaeger: Option<Jaeger>,
}

pub(crate) async fn run(arguments: DemoArguments) -> Result<(), Stop> {
    let mut options = TelemetryOptions::from_environment("stoker");
    // Logs would disturb the bars, so only errors are logged by default.
    options.log_filter.get_or_insert_with(|| "error".to_owned());
    trace_preheats_not_polls(&mut options);
    options
        .trace_never
        .extend(peer::share::UNTRACED.map(str::to_owned));
    let jaeger = match arguments.jaeger {
        Some(jaeger) => jaeger.if_reachable().await,
        None => None,
    };
    if let Some(jaeger) = &jaeger {
        jaeger.receive_traces(&mut options);
    }
    let telemetry = telemetry::init(&options);
    process::begin();
    let folder = tempfile::Builder::new().prefix("stoker-demo-").tempdir();
    let folder =
        folder.map_err(|error| Stop::failed(format!("a temporary folder cannot be created: {error}")))?;
    let vitals = telemetry.vitals();
    let ended = tokio::select! {
        ended = steps(arguments.size, folder.path(), &vitals, jaeger.as_ref()) => ended,
        () = process::stop_signal() => Err(anyhow::anyhow!("the demo was stopped before its end")),
    };
    vitals.running.drain(GRACE).await;
    if arguments.keep {
        output::say(format!("\nKept: {}", folder.keep().display()));
    }
    telemetry.flush().await;
    Ok(ended?)
}

async fn steps(
    size: Size,
    folder: &std::path::Path,
    vitals: &Vitals,
    jaeger: Option<&Jaeger>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let registry = start_registry(size).await?;
    let fleet = Fleet::start(
        folder,
        registry.address(),
        jaeger.map(Jaeger::pages).as_deref(),
        vitals,
    )
    .await?;
    say_the_fleet(&fleet);

    output::say("\n3. Harbor requests a preheat of the image:");
    let preheat_began = Instant::now();
    let job = harbor::create_job(&fleet, &registry).await?;
    let objects = bars::until_placed(&fleet.admin, job, &registry).await?;
    let preheat_took = preheat_began.elapsed();
    harbor::poll(&fleet, job, objects.len()).await?;

    output::say(
        "\n4. The registry is stopped. Every node pulls the image through its own peer, as containerd does.",
    );
    registry.stop().await;
    let pulls = pull::through_each_node(&fleet, &registry, &vitals.running).await?;
    for pull in &pulls {
        output::say(format!(
            "   {}  {}: {} objects, {} in {:.1} s, every digest verified",
            pull.node,
            pull.platform,
            pull.objects,
            output::bytes(pull.bytes),
            pull.took.as_secs_f64(),
        ));
    }
    let closing = Closing {
        registry: &registry,
        objects: &objects,
        pulls: &pulls,
        preheat_took,
    };
    closing.say(began.elapsed());
    if jaeger.is_some() {
        say_where_the_trace_is(&fleet, job).await?;
    }
    ensure!(
        closing.most_gets_of_a_layer() == 1,
        "a layer was fetched from the registry {} times instead of once",
        closing.most_gets_of_a_layer()
    );
    Ok(())
}

async fn start_registry(size: Size) -> anyhow::Result<SampleRegistry> {
    let image = tokio::task::spawn_blocking(move || SampleImage::make(size.bytes()))
        .await
        .context("the sample image could not be generated")?;
    let (bytes, objects) = (output::bytes(image.bytes()), image.objects.len());
    let registry = SampleRegistry::start(image).await?;
    output::say(format!(
        "1. A registry with an image: {}/{REPOSITORY}:{TAG}",
        registry.address()
    ));
    output::say(format!(
        "   {bytes} in {objects} objects, two platforms; it sends at most {}/s",
        registry::rate()
    ));
    Ok(registry)
}

/// Prints the link to the trace. The last spans are sent when the demo ends.
async fn say_where_the_trace_is(fleet: &Fleet, job: i64) -> anyhow::Result<()> {
    let preheat: PreheatBody = fleet.admin.get(&format!("/api/v1/preheats/{job}")).await?;
    if let Some(link) = preheat.trace_url {
        output::say(format!("\nThe trace of the preheat:\n  {link}"));
    }
    Ok(())
}

fn say_the_fleet(fleet: &Fleet) {
    output::say(format!(
        "\n2. A manager at {} and five connected peers:",
        fleet.manager
    ));
    for peer in &fleet.peers {
        output::say(format!(
            "   {}  front {}  share {}",
            peer.name, peer.front, peer.share
        ));
    }
}
