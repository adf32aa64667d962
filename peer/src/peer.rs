//! A peer, put together: built (addresses known, nothing served), then spawned.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use oci::{Dial, RegistryMetrics};
use process::admin::{Admin, AdminKey};
use process::http::{ClientOptions, client};
use process::{TlsFiles, Vitals, bind, readiness, serve};
use store::{Store, sweep_until};
use tokio::net::TcpListener;
use tracing::warn;
use uuid::Uuid;
use wire::{ManagerClient, Role};

use crate::access::Access;
use crate::admin;
use crate::clients::guarded_registries;
use crate::config::PeerConfig;
use crate::delivery::Delivery;
use crate::fetch::{Fetches, Sources};
use crate::front::{self, FrontState};
use crate::identity::{front_secret, peer_id};
use crate::limits::Limits;
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::orders::{Me, Orders, follow_orders};
use crate::relay::{self, RelayState};
use crate::share::{self, ShareState};

/// All listeners are bound and the store is open; nothing is served yet.
pub struct Peer {
    front: TcpListener,
    share: TcpListener,
    admin: Option<TcpListener>,
    share_tls: Option<TlsFiles>,
    front_state: FrontState,
    share_state: ShareState,
    relay_state: RelayState,
    orders: Orders,
    vitals: Vitals,
    key: AdminKey,
}

impl Peer {
    pub async fn build(config: PeerConfig, vitals: Vitals) -> anyhow::Result<Self> {
        let counted = RegistryMetrics::default();
        vitals.metrics.register(|registry| counted.register(registry));
        Self::build_beside(config, vitals, counted).await
    }

    /// Inside another program, which shows what both ask of registries under the same names.
    pub async fn build_beside(
        config: PeerConfig,
        vitals: Vitals,
        counted: RegistryMetrics,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("the data folder {}", config.data_dir.display()))?;
        let key = AdminKey::open(&config.data_dir).context("the admin key")?;
        let running = vitals.running.clone();
        let id = peer_id(&config.data_dir)?;
        let folder = config.data_dir.join("store");
        let clock = Box::new(process::clock::unix_ms);
        let store = Store::open_with(&folder, config.store.clone(), clock)
            .with_context(|| format!("the store in {}", config.data_dir.display()))?;
        let registries = guarded_registries(Dial::guarded(config.dial.addresses.clone()), counted);
        let neighbours = Neighbours::open(
            id,
            &config.cluster,
            &config.data_dir,
            config.registries.clone(),
            config.dial.clone(),
            registries,
        );
        let limits = Limits::new(config.limits.clone(), running.clone());
        limits.register(&vitals.metrics);
        neighbours.pace(limits.clone());
        let manager = manager_client(&config)?;
        let to_peers = client(&ClientOptions::default())?;
        let sources = Sources::new(to_peers, neighbours.clone(), limits.clone());
        let metrics = PeerMetrics::default();
        metrics.register(&vitals.metrics, &store);
        let fetches = Fetches::new(store.clone(), sources, running.clone(), metrics.clone());

        let front = bind(&config.front).await?;
        let share = bind(&config.share).await?;
        let admin = match &config.admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let secret = front_secret(&config.data_dir)?;
        let (rules, around) = (config.front_limits.clone(), neighbours.clone());
        let (prefetch, peers) = (rules.prefetch, fetches.peers().clone());
        let delivery = Delivery::new(store.clone(), fetches.sources().clone(), &secret);
        let now = process::clock::unix_ms;
        let access = Access::new(
            store.clone(),
            around.clone(),
            peers,
            rules,
            secret,
            running.clone(),
            now,
        );
        let front_state = FrontState::new(
            access.clone(),
            delivery.clone(),
            store.clone(),
            fetches.clone(),
            around,
            prefetch,
            now,
        );
        let share_state = ShareState::new(store.clone(), neighbours.clone(), limits.clone(), &metrics)
            .sharing(fetches.clone());
        let around = neighbours.clone();
        let relay_state = RelayState::new(
            access,
            delivery.clone(),
            fetches.clone(),
            store.clone(),
            around,
            limits,
            &metrics,
        );
        let me = me(id, &config, share.local_addr()?.port());
        neighbours.listens_at(me.share_url());
        if let Some(zone) = config.zone.clone() {
            neighbours.lies_in(zone);
        }
        let orders = Orders {
            manager,
            me,
            store,
            fetches,
            delivery,
            neighbours,
            pulls: front_state.pulls().clone(),
            metrics,
        };
        Ok(Self {
            front,
            share,
            admin,
            share_tls: config.share_tls,
            front_state,
            share_state,
            relay_state,
            orders,
            vitals,
            key,
        })
    }

    pub fn front_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.front.local_addr()?)
    }

    pub fn share_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.share.local_addr()?)
    }

    pub fn role(&self) -> Role {
        self.orders.me.role
    }

    /// What this peer holds.
    pub fn store(&self) -> &Store {
        &self.orders.store
    }

    /// What an admin port of this process may offer of this peer, to those who have its key.
    pub fn admin_routes(&self) -> Router {
        admin::routes(self.orders.store.clone())
    }

    /// Serves until the process stops.
    pub fn spawn(self) -> anyhow::Result<()> {
        let (readiness, latch) = readiness();
        let guarded = self.admin_routes();
        let Vitals { running, metrics, .. } = &self.vitals;
        serve(
            self.front,
            front::router(self.front_state, metrics),
            running,
            None,
        )?;
        let mut to_peers = share::router(self.share_state, metrics);
        if self.orders.me.role == Role::Seed {
            to_peers = to_peers.merge(relay::router(self.relay_state, metrics));
        }
        serve(self.share, to_peers, running, self.share_tls.as_ref())?;
        if let Some(admin) = self.admin {
            let shown = Admin::new(&self.vitals, readiness, self.key);
            serve(admin, shown.router(guarded), running, None)?;
        }
        running.spawn(sweep_until(self.orders.store.clone(), running.clone()));
        running.spawn(follow_orders(self.orders, running.clone(), latch));
        Ok(())
    }
}

fn manager_client(config: &PeerConfig) -> anyhow::Result<ManagerClient> {
    warn_of_plain_http(&config.manager);
    let trust = ClientOptions {
        ca_pem: config.manager_ca_pem.clone(),
        ..ClientOptions::default()
    };
    Ok(ManagerClient::new(
        client(&trust)?,
        &config.manager,
        config.token.clone(),
    ))
}

fn me(id: Uuid, config: &PeerConfig, share_port: u16) -> Me {
    Me {
        id,
        name: config.name.clone(),
        cluster: config.cluster.clone(),
        role: config.role,
        advertise: config.advertise.clone(),
        share_port,
        share_scheme: if config.share_tls.is_some() {
            "https"
        } else {
            "http"
        },
    }
}

/// Credentials of registries come over this connection.
fn warn_of_plain_http(manager: &str) {
    let loopback = ["http://127.", "http://localhost", "http://[::1]"];
    if manager.starts_with("http://") && !loopback.iter().any(|start| manager.starts_with(start)) {
        warn!(
            stoker.side = "peer",
            manager,
            "the manager is called over plain HTTP: tokens and credentials can be read on the way; give the manager tls_cert and tls_key"
        );
    }
}
