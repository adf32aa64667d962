//! The manager: `build` binds its addresses, `spawn` serves them.

mod webhooks;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::tokens::{CallerKey, Lifetime, Scopes, TokenWish, signing_key};
use api::{App, AppParts, AuthMode, Authority, RouteSettings};
use axum::Router;
use futures_util::future::BoxFuture;
use preheat::{Limits, Parts, Preheater, TracePages, Webhooks};
use process::admin::{Admin, AdminKey};
use process::mutual::{Callers, MutualAcceptor, OwnCertificate};
use process::{Latch, Readiness, Serving, TlsFiles, Vitals, files};
use queue::{Clock, Database, SystemClock};
use sea_orm_migration::MigratorTrait as _;
use settings::OwnRegistry;
use tokio::net::TcpListener;
use tracing::{info, warn};
use wire::{CaFingerprint, ClusterName, Joined, PublicKey, RegistryDescription, Role, SecretText};

use self::webhooks::WebhookSender;
use crate::config::{ManagerConfig, Timeouts};

/// How long a request of Harbor's kraken driver waits for the preheat: enough for immediate failures (a wrong name, no
/// credential) and small images. Harbor's worker is blocked meanwhile, and Harbor's limit is 30 s.
const KRAKEN_WAITS: Duration = Duration::from_secs(8);
/// The file of the first token, which has every scope.
const ADMIN_TOKEN: &str = "admin.token";

/// All listeners are bound and the database is open; nothing is served yet.
pub(crate) struct Manager {
    preheater: Preheater,
    app: App,
    authority: CaFingerprint,
    listener: TcpListener,
    for_peers: TcpListener,
    acceptor: MutualAcceptor,
    admin: TcpListener,
    tls: Option<TlsFiles>,
    vitals: Vitals,
    key: AdminKey,
    readiness: Readiness,
    latch: Latch,
}

impl Manager {
    pub(crate) async fn build(config: &ManagerConfig, vitals: Vitals) -> anyhow::Result<Self> {
        let folder = &config.data_dir;
        make_private(folder, &config.database_url)?;
        let key = AdminKey::open(folder).context("the admin key")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let callers = CallerKey::at(&folder.join("token.key"))?;
        let now_unix = clock.now_ms() / 1_000;
        let authority = Authority::at(folder, now_unix)?;
        let acceptor = acceptor(&authority, now_unix)?;
        let preheater = preheater(config, clock.clone()).await?;
        first_token(&preheater, &callers, clock.as_ref(), folder).await?;
        let listener = process::bind(&config.listen).await?;
        let for_peers = process::bind(&config.peer_listen).await?;
        let admin = process::bind(&config.admin).await?;
        log_exposure(config, listener.local_addr()?);
        let fingerprint = authority.fingerprint();
        let app = App::new(AppParts {
            preheater: preheater.clone(),
            callers,
            authority,
            auth: config.auth,
            clock,
            route_settings: route_settings(config, for_peers.local_addr()?.port()),
        });
        vitals
            .metrics
            .register(|registry| preheater.register_metrics(registry));
        let (readiness, latch) = process::readiness();
        let tls = config.tls.clone();
        Ok(Self {
            preheater,
            app,
            authority: fingerprint,
            listener,
            for_peers,
            acceptor,
            admin,
            tls,
            vitals,
            key,
            readiness,
            latch,
        })
    }

    /// Metrics that the peer in the same process shares.
    pub(crate) fn registry_metrics(&self) -> oci::RegistryMetrics {
        self.preheater.registry_metrics().clone()
    }

    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    pub(crate) fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.local_addr()?)
    }

    /// The listening address for peers.
    pub(crate) fn peer_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.for_peers.local_addr()?)
    }

    /// The URL of that address for peers on this machine.
    pub(crate) fn peer_url(&self) -> anyhow::Result<String> {
        let mut address = self.peer_address()?;
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            };
            address.set_ip(loopback);
        }
        Ok(format!("https://{address}"))
    }

    /// The fingerprint of the authority that signs peers' certificates.
    pub(crate) fn authority(&self) -> CaFingerprint {
        self.authority
    }

    /// Joins the peer of the same process, without a token.
    pub(crate) fn join_directly(
        &self,
        cluster: ClusterName,
        role: Role,
    ) -> impl FnOnce(PublicKey) -> BoxFuture<'static, anyhow::Result<Joined>> + Send + use<> {
        let app = self.app.clone();
        move |key| Box::pin(async move { Ok(app.join_directly(role, cluster, key).await?) })
    }

    /// Serves until the process stops. `beside` holds the routes of a peer in the same process. The admin port serves
    /// them to callers with the key.
    pub(crate) fn spawn(self, beside: Option<Router>) -> anyhow::Result<()> {
        let Vitals { running, metrics, .. } = &self.vitals;
        let for_peers = api::peer_router(self.app.clone(), metrics);
        process::serve_mutual(self.for_peers, for_peers, running, &self.acceptor);
        let router = api::router(self.app, metrics);
        let guarded = beside.unwrap_or_default();
        process::serve(self.listener, router, running, self.tls.as_ref())?;
        let admin = Admin::new(&self.vitals, self.readiness, self.key);
        Serving::new(self.admin, admin.router(guarded))
            .limits(process::ListenerLimits::for_probes())
            .spawn(running);
        let workers = self.preheater.start_workers(running.stopping().clone());
        running.spawn(async move { workers.drain().await });
        drop(self.latch);
        Ok(())
    }
}

async fn preheater(config: &ManagerConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Preheater> {
    let dial = oci::Dial::guarded(config.dial.addresses.clone());
    let registries = clients::guarded_registries(dial, oci::RegistryMetrics::default());
    let configured = &config.registries;
    let settings = configured.iter().map(|registry| &registry.settings);
    registries.dial().list_hosts(settings.clone());
    registries.configure(settings.cloned().collect());
    let parts = Parts {
        db: open_database(&config.database_url).await?,
        registries,
        clock,
        secrets_key: secrets_key(&config.data_dir.join("secrets.key"))?,
        limits: limits(&config.timeouts),
        descriptions: configured.iter().map(description).collect(),
        dial: config.dial.clone(),
        clusters: config.clusters.clone(),
        trace_pages: config
            .jaeger_ui
            .as_ref()
            .map_or_else(TracePages::default, |url| TracePages::at(url.as_str())),
        webhooks: webhooks(config)?,
        signing: signing_key(&config.data_dir.join("peer.key"))?,
    };
    Ok(Preheater::new(parts)?)
}

fn webhooks(config: &ManagerConfig) -> anyhow::Result<Webhooks> {
    Ok(Webhooks {
        receivers: config.webhooks.clone(),
        sender: Some(Arc::new(WebhookSender::new()?)),
    })
}

/// Opens the database and migrates its tables to this version.
pub(crate) async fn open_database(url: &str) -> anyhow::Result<Database> {
    let database = Database::open(url).await?;
    migrations::Migrator::up(database.connection_for_migrations(), None)
        .await
        .context("the database cannot be migrated to this version")?;
    Ok(database)
}

/// Creates the certificate of the port for peers. Its key exists only in this process.
fn acceptor(authority: &Authority, now_unix: i64) -> anyhow::Result<MutualAcceptor> {
    let shown = authority.server_certificate(now_unix)?;
    let own = OwnCertificate::new(&shown.chain_pem, &shown.key)?;
    // A joining peer has no certificate yet; the router requires one for all other routes.
    Ok(MutualAcceptor::new(authority.ca_pem(), &own, Callers::MayShow)?)
}

fn route_settings(config: &ManagerConfig, peer_port: u16) -> RouteSettings {
    let url = config.public_url.as_ref();
    RouteSettings {
        public_url: url.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        rules: config.triggers.clone(),
        peer_port,
        kraken_waits: KRAKEN_WAITS,
    }
}

fn limits(section: &Timeouts) -> Limits {
    let built_in = Limits::default();
    Limits {
        preheat_limit: section.preheat_limit.unwrap_or(built_in.preheat_limit),
        no_seed_limit: section.no_seed_limit.unwrap_or(built_in.no_seed_limit),
        absent_limit: section.absent_limit.unwrap_or(built_in.absent_limit),
        replan_after: section.replan_after.unwrap_or(built_in.replan_after),
        session_lease: section.session_lease.unwrap_or(built_in.session_lease),
        keep_ended: match section.keep_preheats {
            None => built_in.keep_ended,
            Some(keep) => (!keep.is_zero()).then_some(keep),
        },
        spot_check_every: match section.spot_check_every {
            None => built_in.spot_check_every,
            Some(every) => (!every.is_zero()).then_some(every),
        },
        ..built_in
    }
}

/// Describes a configured registry to peers: everything except its secrets.
fn description(registry: &OwnRegistry) -> RegistryDescription {
    let settings = &registry.settings;
    RegistryDescription {
        name: settings.name.to_string(),
        plain_http: settings.plain_http,
        insecure_skip_verify: settings.insecure_skip_verify,
        ca_pem: settings.ca_pem.clone(),
        aliases: settings.aliases.iter().map(ToString::to_string).collect(),
        token_realms: settings.token_realms.clone(),
        // Without its password.
        proxy: settings.proxy.as_ref().map(ToString::to_string),
        max_connections: settings.max_connections,
        header_wait_ms: settings
            .header_wait
            .and_then(|wait| wait.as_millis().try_into().ok()),
        bandwidth: registry.bandwidth,
        offline_access: registry.offline_access,
        authorize: registry.authorize,
        harbor: false,
        configured: true,
    }
}

/// The key that opens the credentials in the database.
fn secrets_key(file: &Path) -> anyhow::Result<[u8; 32]> {
    let key = files::private_file(file, || {
        let mut key = vec![0; 32];
        // Fails only if the operating system has no randomness. The empty key is refused below.
        if aws_lc_rs::rand::fill(&mut key).is_err() {
            key.clear();
        }
        key
    });
    let key = key.with_context(|| format!("the secrets key {}", file.display()))?;
    key.try_into().map_err(|_| {
        anyhow::anyhow!(
            "{} is not a key file: remove it, and the next start creates a new one; credentials of open preheats are lost",
            file.display()
        )
    })
}

/// Restricts the data folder and the embedded database to this program's user, also those of an older version.
fn make_private(folder: &Path, database_url: &str) -> anyhow::Result<()> {
    files::private_folder(folder)
        .with_context(|| format!("the data folder {} cannot be created", folder.display()))?;
    let path = database_url.strip_prefix("sqlite:").unwrap_or_default();
    let path = path
        .trim_start_matches("//")
        .split('?')
        .next()
        .unwrap_or_default();
    if !path.is_empty() {
        for beside in ["", "-wal", "-shm"] {
            files::close_to_others(Path::new(&format!("{path}{beside}")));
        }
    }
    Ok(())
}

/// At the first start, writes a token with every scope.
async fn first_token(
    preheater: &Preheater,
    callers: &CallerKey,
    clock: &dyn Clock,
    folder: &Path,
) -> anyhow::Result<()> {
    if preheat::tokens::any_tokens_exist(preheater).await? {
        return Ok(());
    }
    let wish = TokenWish {
        name: "admin".to_owned(),
        scopes: Scopes::all(),
        lifetime: lifetime(10 * 365)?,
    };
    let token = make_token(preheater, callers, clock, wish).await?;
    let file = folder.join(ADMIN_TOKEN);
    write_token(&file, &token)?;
    info!(file = %file.display(), "first start: token with every scope written");
    Ok(())
}

async fn make_token(
    preheater: &Preheater,
    callers: &CallerKey,
    clock: &dyn Clock,
    wish: TokenWish,
) -> anyhow::Result<SecretText> {
    let created = api::tokens::create(preheater, callers, wish, clock.now_ms()).await?;
    Ok(created.text)
}

fn lifetime(days: u32) -> anyhow::Result<Lifetime> {
    Ok(format!("{days}d").parse()?)
}

fn write_token(file: &Path, token: &SecretText) -> anyhow::Result<()> {
    files::write_private(file, format!("{}\n", token.expose()).as_bytes())
        .with_context(|| format!("the token file {} cannot be written", file.display()))
}

fn log_exposure(config: &ManagerConfig, address: SocketAddr) {
    if let Some(url) = &config.public_url {
        info!(%url, "public URL configured");
    }
    if config.auth == AuthMode::None {
        warn!(listen.addr = %address, "auth = \"none\": EVERYONE WHO REACHES {address} MAY DO EVERYTHING");
    }
    if config.tls.is_none() && !address.ip().is_loopback() {
        warn!(
            listen.addr = %address,
            "serving plain HTTP off loopback: others on the network can read tokens; set tls_cert and tls_key"
        );
    }
}
