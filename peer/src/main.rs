//! `stoker-peer`: one program for seeds (`--seed`) and nodes.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use peer::{Arguments, Peer, PeerConfig};
use process::Vitals;
use process::telemetry;
use tracing::{error, info};

/// How long transfers may go on after the signal to stop.
const GRACE: Duration = Duration::from_secs(20);
/// As in `sysexits.h`: the command line or the configuration is wrong.
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    process::install_tls_provider();
    let config = match PeerConfig::read(Arguments::parse()) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let telemetry = telemetry::init(&config.telemetry);
    let ended = run(config, telemetry.vitals()).await;
    if let Err(error) = &ended {
        error!("{error:#}");
    }
    telemetry.flush().await;
    if ended.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn run(config: PeerConfig, vitals: Vitals) -> anyhow::Result<()> {
    let running = vitals.running.clone();
    let name = config.name.clone();
    let peer = Peer::build(config, vitals).await?;
    info!(
        peer.name = %name,
        front.addr = %peer.front_address()?,
        share.addr = %peer.share_address()?,
        "peer built"
    );
    peer.spawn()?;
    process::stop_signal().await;
    info!("stopping");
    running.drain(GRACE).await;
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "there is no log before the configuration is read"
)]
fn refuse(faults: &process::config::Faults) -> ExitCode {
    eprintln!("{faults}");
    ExitCode::from(USAGE)
}
