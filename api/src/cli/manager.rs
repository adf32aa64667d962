//! `stoker manager`: read, build, say where, run, drain.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use process::telemetry;
use process::{Running, Vitals};
use settings::Flags;
use tracing::info;

use super::stop::Stop;
use crate::config::{AddressFlags, ManagerConfig, ManagerFlags, Program, log_warnings};
use crate::manager::Manager;

/// How long requests may run after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Run the manager: the HTTP API for Harbor and people, and the peer port.
#[derive(Debug, Args)]
#[command(after_help = "\
The first start writes a token with every scope to DIR/admin.token.

Examples:
  stoker manager --data-dir /var/lib/stoker
  stoker manager --data-dir /var/lib/stoker --config /etc/stoker/stoker.toml --listen 0.0.0.0:8080

A configuration file, all of it optional:
  listen = \"0.0.0.0:8080\"
  peer_listen = \"0.0.0.0:8443\"
  public_url = \"https://stoker.example.com\"
  tls_cert = \"/etc/stoker/cert.pem\"
  tls_key = \"/etc/stoker/key.pem\"
  [timeouts]
  absent_limit = \"300s\"
  [registry.\"registry.lan:5000\"]
  plain_http = true
  [registry.\"harbor.example.com\"]
  ca_file = \"/etc/stoker/harbor-ca.pem\"
  username = \"robot$stoker\"
  password_file = \"/etc/stoker/harbor-password\"")]
pub(crate) struct ManagerArguments {
    #[command(flatten)]
    flags: Flags<ManagerFlags>,
    #[command(flatten)]
    addresses: Flags<AddressFlags>,
}

pub(crate) async fn run(arguments: ManagerArguments) -> Result<(), Stop> {
    let flags = arguments.flags;
    let given = flags.given.and(arguments.addresses.given);
    let read = ManagerConfig::read(flags.arguments.config.as_deref(), given, &Program::MANAGER)?;
    let config = read.value;
    let telemetry = telemetry::init(&config.telemetry);
    process::begin();
    log_warnings(&read.warnings);
    let vitals = telemetry.vitals();
    let ended = until_stopped(Box::pin(start(&config, vitals.clone())), &vitals.running).await;
    telemetry.flush().await;
    Ok(ended?)
}

async fn start(config: &ManagerConfig, vitals: Vitals) -> anyhow::Result<()> {
    let manager = Manager::build(config, vitals).await?;
    info!(listen.addr = %manager.address()?, peer_listen.addr = %manager.peer_address()?, admin.addr = %manager.admin_address()?, "manager built");
    manager.spawn(None)
}

/// Runs until a signal asks to stop, then drains.
pub(super) async fn until_stopped(
    start: impl Future<Output = anyhow::Result<()>>,
    running: &Running,
) -> anyhow::Result<()> {
    let mut stopped = pin!(process::stop_signal());
    tokio::select! {
        biased;
        // Polled first, so that no early signal is missed.
        () = stopped.as_mut() => {}
        started = start => {
            started?;
            stopped.await;
        }
    }
    info!("stopping");
    running.drain(GRACE).await;
    Ok(())
}
