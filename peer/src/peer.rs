//! Builds a peer (addresses known, nothing served), then runs it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use oci::{Dial, RegistryMetrics};
use process::admin::{Admin, AdminKey};
use process::clock::unix_ms;
use process::mutual::MutualAcceptor;
use process::{Running, Serving, Vitals, bind, files, readiness, serve, serve_mutual};
use store::{Store, sweep_until};
use tokio::net::TcpListener;
use wire::{ManagerClient, Role};

use crate::access::Access;
use crate::admin;
use crate::config::{FrontLimits, PeerConfig};
use crate::delivery::Delivery;
use crate::fetch::{Fetches, Sources};
use crate::front::{self, FrontState, RangeRules};
use crate::identity::front_secret;
use crate::joining::{self, ExpectedIdentity, Joining, keep_renewed};
use crate::limits::Limits;
use crate::membership::{Clock, Membership};
use crate::metrics::PeerMetrics;
use crate::neighbours::Neighbours;
use crate::orders::{OrdersContext, OwnDescription, follow_orders};
use crate::records::Records;
use crate::relay::{self, RelayState};
use crate::share::{self, ShareState};
use clients::guarded_registries;

const STORE: &str = "store";

/// All listeners are bound and the store is open; nothing is served yet.
pub struct Peer {
    doors: Doors,
    acceptor: MutualAcceptor,
    front_state: FrontState,
    share_state: ShareState,
    relay_state: RelayState,
    orders: OrdersContext,
    vitals: Vitals,
    key: AdminKey,
}

impl Peer {
    pub async fn build(config: PeerConfig, vitals: Vitals) -> anyhow::Result<Self> {
        let counted = RegistryMetrics::default();
        vitals.metrics.register(|registry| counted.register(registry));
        Self::build_beside(config, vitals, counted).await
    }

    /// The same inside another program, which shows the registry metrics of both under the same names.
    pub async fn build_beside(
        mut config: PeerConfig,
        vitals: Vitals,
        counted: RegistryMetrics,
    ) -> anyhow::Result<Self> {
        make_private(&config.data_dir)
            .with_context(|| format!("the data folder {}", config.data_dir.display()))?;
        let key = AdminKey::open(&config.data_dir).context("the admin key")?;
        let membership = membership(&mut config).await?;
        let shared = SharedParts::open(&config, membership, &vitals, counted)?;
        let doors = Doors::bind(&config).await?;
        config.front_limits.address.listen_at(doors.front.local_addr()?);

        let (access, delivery) = (shared.access(config.front_limits.clone()), shared.delivery());
        let front_state = shared.front(&access, &delivery, RangeRules::of(&config.front_limits));
        let share_state = shared.share();
        let relay_state = shared.relay(access, delivery.clone());
        let acceptor = shared.membership.acceptor()?;
        let me = shared.me(&config, doors.share.local_addr()?.port());
        let manager = ManagerClient::new(shared.membership.to_manager()?, &config.manager);
        Ok(Self {
            doors,
            acceptor,
            orders: shared.orders(manager, me, delivery, &front_state),
            front_state,
            share_state,
            relay_state,
            vitals,
            key,
        })
    }

    pub fn front_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.doors.front.local_addr()?)
    }

    pub fn share_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.doors.share.local_addr()?)
    }

    pub fn role(&self) -> Role {
        self.orders.me.role
    }

    /// The peer's store.
    pub fn store(&self) -> &Store {
        &self.orders.store
    }

    /// The admin routes of this peer, for an admin port of this process. They need its key.
    pub fn admin_routes(&self) -> Router {
        admin::routes(self.orders.store.clone())
    }

    /// Serves until the process stops.
    pub fn spawn(self) -> anyhow::Result<()> {
        let (readiness, latch) = readiness();
        let guarded = self.admin_routes();
        let Vitals { running, metrics, .. } = &self.vitals;
        serve(
            self.doors.front,
            front::router(self.front_state, metrics),
            running,
            None,
        )?;
        let membership = self.orders.membership.clone();
        let mut to_peers = share::router(self.share_state, membership.clone(), metrics);
        if self.orders.me.role == Role::Seed {
            to_peers = to_peers.merge(relay::router(self.relay_state, membership.clone(), metrics));
        }
        serve_mutual(self.doors.share, to_peers, running, &self.acceptor);
        if let Some(admin) = self.doors.admin {
            let shown = Admin::new(&self.vitals, readiness, self.key);
            Serving::new(admin, shown.router(guarded))
                .limits(process::ListenerLimits::for_probes())
                .spawn(running);
        }
        running.spawn(sweep_until(self.orders.store.clone(), running.clone()));
        let (renewing, stopping) = (
            keep_renewed(membership, self.orders.manager.clone()),
            running.clone(),
        );
        running.spawn(async move { stopping.stopping().run_until_cancelled(renewing).await });
        running.spawn(follow_orders(self.orders, running.clone(), latch));
        Ok(())
    }
}

/// The bound listeners.
struct Doors {
    front: TcpListener,
    share: TcpListener,
    admin: Option<TcpListener>,
}

impl Doors {
    async fn bind(config: &PeerConfig) -> anyhow::Result<Self> {
        Ok(Self {
            front: bind(&config.front).await?,
            share: bind(&config.share).await?,
            admin: match &config.admin {
                Some(address) => Some(bind(address).await?),
                None => None,
            },
        })
    }
}

/// What all doors of a peer share.
struct SharedParts {
    membership: Membership,
    store: Store,
    records: Records,
    fetches: Fetches,
    neighbours: Neighbours,
    limits: Limits,
    metrics: PeerMetrics,
    running: Running,
    secret: [u8; 32],
}

impl SharedParts {
    fn open(
        config: &PeerConfig,
        membership: Membership,
        vitals: &Vitals,
        counted: RegistryMetrics,
    ) -> anyhow::Result<Self> {
        let running = vitals.running.clone();
        let store = open_store(config)?;
        let neighbours = open_neighbours(config, &membership, counted);
        let limits = Limits::new(config.limits.clone(), running.clone());
        limits.register(&vitals.metrics);
        neighbours.pace(limits.clone());
        let sources = Sources::new(membership.to_peers()?, neighbours.clone(), limits.clone())
            .calling_seeds_by(membership.to_seeds()?);
        let metrics = PeerMetrics::default();
        metrics.register(&vitals.metrics, &store);
        let registries = neighbours.registries().clone();
        Ok(Self {
            records: Records::new(membership.clone(), store.clone(), registries),
            fetches: Fetches::new(store.clone(), sources, running.clone(), metrics.clone()),
            secret: front_secret(&config.data_dir)?,
            membership,
            store,
            neighbours,
            limits,
            metrics,
            running,
        })
    }

    /// What this peer says about itself to the manager and to its own neighbours.
    fn me(&self, config: &PeerConfig, share_port: u16) -> OwnDescription {
        let identity = self.membership.identity();
        let me = OwnDescription {
            name: config.name.clone(),
            cluster: identity.cluster.to_string(),
            role: identity.role,
            advertise: config.advertise.clone(),
            share_port,
        };
        self.neighbours.listens_at(me.share_url());
        if let Some(zone) = config.zone.clone() {
            self.neighbours.lies_in(zone);
        }
        me
    }

    fn orders(
        self,
        manager: ManagerClient,
        me: OwnDescription,
        delivery: Delivery,
        front: &FrontState,
    ) -> OrdersContext {
        OrdersContext {
            manager,
            me,
            store: self.store,
            records: self.records,
            fetches: self.fetches,
            delivery,
            neighbours: self.neighbours,
            membership: self.membership,
            pulls: front.pulls().clone(),
            metrics: self.metrics,
        }
    }

    fn access(&self, rules: FrontLimits) -> Access {
        let (store, records) = (self.store.clone(), self.records.clone());
        let (peers, running) = (self.fetches.peers().clone(), self.running.clone());
        let around = self.neighbours.clone();
        Access::new(
            (store, records),
            around,
            peers,
            rules,
            self.secret,
            running,
            unix_ms,
        )
    }

    fn delivery(&self) -> Delivery {
        let sources = self.fetches.sources().clone();
        Delivery::new(self.store.clone(), sources, &self.secret)
    }

    fn front(&self, access: &Access, delivery: &Delivery, ranges: RangeRules) -> FrontState {
        let (access, delivery) = (access.clone(), delivery.clone());
        let (store, fetches) = (self.store.clone(), self.fetches.clone());
        let around = self.neighbours.clone();
        FrontState::new(access, delivery, store, fetches, around, ranges, unix_ms)
    }

    fn share(&self) -> ShareState {
        let (store, limits) = (self.store.clone(), self.limits.clone());
        ShareState::new(store, limits, &self.metrics).sharing(self.fetches.clone())
    }

    fn relay(&self, access: Access, delivery: Delivery) -> RelayState {
        let (store, fetches) = (self.store.clone(), self.fetches.clone());
        let (around, limits) = (self.neighbours.clone(), self.limits.clone());
        RelayState::new(access, delivery, fetches, store, around, limits, &self.metrics)
    }
}

fn open_store(config: &PeerConfig) -> anyhow::Result<Store> {
    let folder = config.data_dir.join(STORE);
    Store::open_with(&folder, config.store.clone(), Box::new(unix_ms))
        .with_context(|| format!("the store in {}", config.data_dir.display()))
}

fn open_neighbours(config: &PeerConfig, membership: &Membership, counted: RegistryMetrics) -> Neighbours {
    let identity = membership.identity();
    Neighbours::open(
        identity.peer,
        identity.cluster.as_str(),
        &config.data_dir,
        config.registries.clone(),
        config.dial.clone(),
        guarded_registries(Dial::guarded(config.dial.addresses.clone()), counted),
    )
}

/// Closes the data folder to other users, including files of an older version: it holds layers of private
/// images.
fn make_private(data_dir: &Path) -> std::io::Result<()> {
    files::private_folder(data_dir)?;
    let store = data_dir.join(STORE);
    files::private_folder(&store)?;
    files::close_to_others(&store);
    files::close_to_others(&data_dir.join("neighbours.json"));
    Ok(())
}

/// Joins the cluster, unless this peer has joined before.
async fn membership(config: &mut PeerConfig) -> anyhow::Result<Membership> {
    let clock: Clock = Arc::new(unix_ms);
    let joining = std::mem::replace(&mut config.joining, Joining::Token(None));
    let (folder, name) = (&config.data_dir, &config.name);
    let membership = joining::membership(folder, &config.manager, name, joining, clock).await?;
    let expected = ExpectedIdentity {
        role: config.role,
        cluster: config.cluster.clone(),
    };
    joining::check(&membership, &expected)?;
    Ok(membership)
}
