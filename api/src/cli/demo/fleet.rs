//! The demo's processes: one manager, two seeds and three nodes. Each has its own folder and its own ports.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::AuthMode;
use api::triggers::Rules;
use api::types::{CreateToken, NewToken, Peers};
use oci::{DialRules, RegistrySettings};
use peer::{FrontLimits, Joining, LimitSettings, Peer, PeerConfig, PeerSettings, StoreLimits};
use process::Vitals;
use process::telemetry::TelemetryOptions;
use settings::OwnRegistry;
use tokio::time::{Instant, sleep};
use wire::{ClusterName, OfflineAccess, Role, SecretText};

use crate::cli::client::Api;
use crate::cli::up::direct_joining;
use crate::config::{ManagerConfig, PeerBeside, Timeouts, embedded_database, loopback};
use crate::manager::Manager;

const ANY_PORT: &str = "127.0.0.1:0";
const PEERS: [(&str, Role); 5] = [
    ("seed-1", Role::Seed),
    ("seed-2", Role::Seed),
    ("node-1", Role::Node),
    ("node-2", Role::Node),
    ("node-3", Role::Node),
];
const HELLO_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Fleet {
    /// Base URL.
    pub(crate) manager: String,
    /// The API, as the administrator.
    pub(crate) admin: Api,
    /// The token that Harbor uses.
    pub(crate) harbor_token: SecretText,
    pub(crate) peers: Vec<FleetPeer>,
}

pub(crate) struct FleetPeer {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Address of the front: `host:port`.
    pub(crate) front: String,
    pub(crate) share: String,
}

impl Fleet {
    /// Starts the manager and the peers, and returns when every peer is connected.
    pub(crate) async fn start(
        folder: &Path,
        registry: SocketAddr,
        jaeger_pages: Option<&str>,
        vitals: &Vitals,
    ) -> anyhow::Result<Self> {
        let config = manager_config(&folder.join("manager"), registry, jaeger_pages)?;
        let manager = Manager::build(&config, vitals.clone()).await?;
        let base = format!("http://{}", manager.address()?);
        let for_peers = manager.peer_url()?;
        let joining = PEERS.map(|(_, role)| direct_joining(&manager, ClusterName::default(), role));
        let admin_token = std::fs::read_to_string(config.data_dir.join("admin.token"))
            .context("the manager's first start wrote no admin.token")?;
        manager.spawn(None)?;
        let admin = Api::at(&base, Some(SecretText::new(admin_token.trim())))?;
        let harbor_token = token(&admin, "harbor", "preheat").await?;
        let mut peers = Vec::new();
        for ((name, role), joining) in PEERS.into_iter().zip(joining) {
            let config = peer_config(&folder.join(name), name, role, &for_peers, joining);
            peers.push(
                start_peer(config, name, role, vitals)
                    .await
                    .with_context(|| format!("peer {name}"))?,
            );
        }
        wait_for_all_peers(&admin).await?;
        Ok(Self {
            manager: base,
            admin,
            harbor_token,
            peers,
        })
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &FleetPeer> {
        self.peers.iter().filter(|peer| peer.role == Role::Node)
    }
}

async fn token(admin: &Api, name: &str, scope: &str) -> anyhow::Result<SecretText> {
    let made: NewToken = admin
        .post(
            "/api/v1/tokens",
            &CreateToken {
                kind: None,
                name: name.to_owned(),
                scopes: vec![scope.to_owned()],
                expires: Some("1d".to_owned()),
            },
        )
        .await?;
    Ok(made.token)
}

async fn start_peer(
    config: PeerConfig,
    name: &'static str,
    role: Role,
    vitals: &Vitals,
) -> anyhow::Result<FleetPeer> {
    let peer = Peer::build(config, vitals.counted_apart()).await?;
    let (front, share) = (
        peer.front_address()?.to_string(),
        peer.share_address()?.to_string(),
    );
    peer.spawn()?;
    Ok(FleetPeer {
        name,
        role,
        front,
        share,
    })
}

async fn wait_for_all_peers(admin: &Api) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let Peers { peers } = admin.get("/api/v1/peers").await?;
        let alive = peers.iter().filter(|peer| peer.alive).count();
        if alive == PEERS.len() {
            return Ok(());
        }
        ensure!(
            began.elapsed() < HELLO_LIMIT,
            "only {alive} of {} peers are connected",
            PEERS.len()
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// Describes the registry, so that every peer learns of it with its first hello.
fn manager_config(
    data_dir: &Path,
    registry: SocketAddr,
    jaeger_pages: Option<&str>,
) -> anyhow::Result<ManagerConfig> {
    let name = registry.to_string().parse()?;
    let described = OwnRegistry {
        settings: RegistrySettings {
            plain_http: true,
            ..RegistrySettings::new(name)
        },
        offline_access: OfflineAccess::default(),
        authorize: None,
        bandwidth: None,
    };
    Ok(ManagerConfig {
        data_dir: data_dir.to_owned(),
        listen: ANY_PORT.to_owned(),
        peer_listen: ANY_PORT.to_owned(),
        admin: ANY_PORT.to_owned(),
        database_url: embedded_database(data_dir),
        auth: AuthMode::Tokens,
        public_url: None,
        tls: None,
        timeouts: Timeouts::default(),
        registries: vec![described],
        triggers: Rules::default(),
        hooks: api::triggers::Hooks::new(),
        dial: loopback_too(),
        clusters: std::collections::BTreeMap::new(),
        webhooks: Vec::new(),
        telemetry: TelemetryOptions::default(),
        jaeger_ui: jaeger_pages.map(url::Url::parse).transpose()?,
        // Unused: the demo starts its peers itself.
        beside: PeerBeside {
            settings: PeerSettings {
                zone: None,
                name: String::new(),
                front: ANY_PORT.to_owned(),
                share: ANY_PORT.to_owned(),
                advertise: None,
                front_limits: FrontLimits::default(),
                store: StoreLimits::default(),
                limits: LimitSettings::default(),
            },
            cluster: ClusterName::default(),
        },
    })
}

/// Allows loopback addresses: the whole demo runs on this machine.
fn loopback_too() -> DialRules {
    DialRules {
        addresses: loopback(),
        ..DialRules::default()
    }
}

fn peer_config(data_dir: &Path, name: &str, role: Role, manager: &str, joining: Joining) -> PeerConfig {
    PeerConfig {
        data_dir: data_dir.to_owned(),
        manager: manager.to_owned(),
        joining,
        role: Some(role),
        cluster: None,
        zone: None,
        name: name.to_owned(),
        front: ANY_PORT.to_owned(),
        share: ANY_PORT.to_owned(),
        advertise: None,
        admin: None,
        registries: Vec::new(),
        front_limits: FrontLimits::default(),
        dial: DialRules::default(),
        store: StoreLimits::default(),
        telemetry: TelemetryOptions::default(),
        limits: LimitSettings::default(),
    }
}
