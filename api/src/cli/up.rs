//! `stoker up`: the manager and one peer, seed and node at once, in one process.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use peer::{Joining, LimitSettings, Peer, PeerConfig};
use process::Vitals;
use process::telemetry::{self, TelemetryOptions};
use tracing::info;
use wire::{ClusterName, Role};

use super::manager::until_stopped;
use super::stop::Stop;
use crate::config::{Addresses, ManagerConfig, ManagerFlags};
use crate::manager::Manager;

/// Run everything on one machine: manager, seed and node peer, with an embedded database.
#[derive(Debug, Args)]
#[command(after_help = "\
The first start writes a token with every scope to DIR/admin.token.

Examples:
  stoker up --data-dir ./stoker-data
  stoker preheat --token-file ./stoker-data/admin.token --wait nginx:1.27

Then let containerd pull through it, /etc/containerd/certs.d/_default/hosts.toml:
  [host.\"http://127.0.0.1:65001\"]
  capabilities = [\"pull\", \"resolve\"]")]
pub(crate) struct UpArguments {
    #[command(flatten)]
    flags: ManagerFlags,
    /// Address of the HTTP API. [default: 127.0.0.1:8080]
    #[arg(long, env = "STOKER_LISTEN", value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Address of the peer port (TLS 1.3, certificates of this manager's authority). [default: 127.0.0.1:8443]
    #[arg(long, env = "STOKER_PEER_LISTEN", value_name = "HOST:PORT")]
    peer_listen: Option<String>,
    /// Address of the front, where container runtimes pull. [default: 127.0.0.1:65001]
    #[arg(long, env = "STOKER_FRONT", value_name = "HOST:PORT")]
    front: Option<String>,
    /// Address of probes and metrics. [default: 127.0.0.1:40901]
    #[arg(long, env = "STOKER_ADMIN", value_name = "HOST:PORT")]
    admin: Option<String>,
    /// Address of the share, where other peers read. [default: 127.0.0.1:65002]
    #[arg(long, env = "STOKER_SHARE", value_name = "HOST:PORT")]
    share: Option<String>,
    /// Host or host:port at which other peers reach this one.
    #[arg(long, env = "STOKER_ADVERTISE", value_name = "ADDRESS")]
    advertise: Option<String>,
    /// Database URL. [default: sqlite:DIR/stoker.db]
    #[arg(long, env = "STOKER_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

pub(crate) async fn run(arguments: UpArguments) -> Result<(), Stop> {
    let config = ManagerConfig::read(
        arguments.flags,
        Addresses {
            listen: arguments.listen,
            peer_listen: arguments.peer_listen,
            admin: arguments.admin,
            front: arguments.front,
            share: arguments.share,
            database_url: arguments.database_url,
            listen_default: "127.0.0.1:8080",
            peer_listen_default: "127.0.0.1:8443",
            admin_default: "127.0.0.1:40901",
            is_laptop: true,
            service: "stoker",
        },
    )?;
    let telemetry = telemetry::init(&config.telemetry);
    process::begin();
    let vitals = telemetry.vitals();
    let ended = until_stopped(
        Box::pin(start(config, arguments.advertise, vitals.clone())),
        &vitals.running,
    )
    .await;
    telemetry.flush().await;
    Ok(ended?)
}

async fn start(config: ManagerConfig, advertise: Option<String>, vitals: Vitals) -> anyhow::Result<()> {
    let manager = Manager::build(&config, vitals.clone()).await?;
    let data_dir = config.data_dir.clone();
    let config = beside(
        config,
        &data_dir,
        manager.peer_url()?,
        manager.direct_joining(ClusterName::default(), Role::Seed),
        advertise,
    );
    let peer = Peer::build_beside(config, vitals, manager.registry_metrics())
        .await
        .context("the peer beside the manager")?;
    info!(
        listen.addr = %manager.address()?,
        front.addr = %peer.front_address()?,
        share.addr = %peer.share_address()?,
        peer_listen.addr = %manager.peer_address()?,
        admin.addr = %manager.admin_address()?,
        "manager and peer built"
    );
    manager.spawn(Some(peer.admin_routes()))?;
    peer.spawn()
}

/// One store plays both parts: the seed that preheats fill, and the node that runtimes pull from.
fn beside(
    config: ManagerConfig,
    data_dir: &Path,
    manager: String,
    joining: Joining,
    advertise: Option<String>,
) -> PeerConfig {
    PeerConfig {
        data_dir: data_dir.join("peer"),
        manager,
        joining,
        role: Some(Role::Seed),
        cluster: None,
        zone: None,
        name: host_name(),
        front: config.beside.front,
        share: config.beside.share,
        advertise,
        // The manager's admin port shows this process's probes and metrics.
        admin: None,
        registries: config.registries.0,
        front_limits: config.beside.front_limits,
        dial: config.dial,
        store: config.beside.store,
        // Of the whole process, and set up already.
        telemetry: TelemetryOptions::default(),
        // What the manager tells all its peers.
        limits: LimitSettings::default(),
    }
}

fn host_name() -> String {
    hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "stoker".to_owned())
}
