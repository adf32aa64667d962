//! `stoker up`: the manager and one peer, seed and node at once, in one process.

use anyhow::Context as _;
use clap::Args;
use peer::{DirectJoining, Joining, Peer, PeerConfig};
use process::Vitals;
use process::telemetry::{self, TelemetryOptions};
use settings::Flags;
use tracing::info;
use wire::{ClusterName, Role};

use super::manager::until_stopped;
use super::stop::Stop;
use crate::config::{ManagerConfig, ManagerFlags, PeerBeside, Program, log_warnings};
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
    flags: Flags<ManagerFlags>,
    #[command(flatten)]
    addresses: Flags<UpFlags>,
}

/// The settings that differ from `stoker manager`.
#[derive(Debug, Args)]
pub(crate) struct UpFlags {
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
    /// A label for people. [default: the host's name]
    #[arg(long, env = "STOKER_NAME")]
    name: Option<String>,
    /// The cluster of the peer in this process. [default: default]
    #[arg(long, env = "STOKER_PEER_CLUSTER", value_name = "NAME")]
    peer_cluster: Option<String>,
}

pub(crate) async fn run(arguments: UpArguments) -> Result<(), Stop> {
    let flags = arguments.flags;
    let given = flags.given.and(arguments.addresses.given);
    let read = ManagerConfig::read(flags.arguments.config.as_deref(), given, &Program::UP)?;
    let mut config = read.value;
    let of_peers = peer::share::UNTRACED.map(str::to_owned);
    config.telemetry.trace_never.extend(of_peers);
    let telemetry = telemetry::init(&config.telemetry);
    process::begin();
    log_warnings(&read.warnings);
    let vitals = telemetry.vitals();
    let ended = until_stopped(Box::pin(start(config, vitals.clone())), &vitals.running).await;
    telemetry.flush().await;
    Ok(ended?)
}

async fn start(config: ManagerConfig, vitals: Vitals) -> anyhow::Result<()> {
    let manager = Manager::build(&config, vitals.clone()).await?;
    let config = peer_config(config, &manager)?;
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
fn peer_config(config: ManagerConfig, manager: &Manager) -> anyhow::Result<PeerConfig> {
    let PeerBeside { settings, cluster } = config.beside;
    Ok(PeerConfig {
        data_dir: config.data_dir.join("peer"),
        manager: manager.peer_url()?,
        joining: direct_joining(manager, cluster, Role::Seed),
        role: Some(Role::Seed),
        cluster: None,
        zone: settings.zone,
        name: settings.name,
        front: settings.front,
        share: settings.share,
        advertise: settings.advertise,
        // The manager's admin port shows this process's probes and metrics.
        admin: None,
        registries: config.registries,
        front_limits: settings.front_limits,
        dial: config.dial,
        store: settings.store,
        // The process has set up its telemetry already.
        telemetry: TelemetryOptions::default(),
        limits: settings.limits,
    })
}

/// How a peer joins the manager of its own process.
pub(super) fn direct_joining(manager: &Manager, cluster: ClusterName, role: Role) -> Joining {
    let join = manager.join_directly(cluster, role);
    Joining::Direct(DirectJoining {
        ca: manager.authority(),
        join: Box::new(join),
    })
}
