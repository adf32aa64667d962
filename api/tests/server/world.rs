//! A manager for tests: real database, real workers, real listener, and a clock that stands still.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::tokens::{CallerKey, Lifetime, Scope, Scopes, TokenWish, create, create_endpoint};
use api::{App, AppParts, AuthMode, Authority, RouteSettings};
use oci::{Registries, RegistrySettings, TlsOptions};
use preheat::{Limits, Parts, Preheater, TracePages};
use process::Running;
use process::metrics::Metrics;
use process::mutual::{Callers, MutualAcceptor, OwnCertificate};
use queue::{Clock, Database, TestClock};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use sea_orm_migration::MigratorTrait as _;
use serde_json::Value;
use tempfile::TempDir;
use wire::Role;

/// 2026-11-21T10:18:08Z
pub(crate) const START_MS: i64 = 1_795_256_288_000;
/// Where this manager's configuration says that Jaeger's pages are.
pub(crate) const JAEGER: &str = "http://jaeger.example:16686/";
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    peer_address: SocketAddr,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) preheater: Preheater,
    pub(crate) http: Client,
    key: CallerKey,
    running: Running,
    pub(crate) folder: TempDir,
}

/// A token and the id by which it is revoked.
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) text: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(AuthMode::Tokens, Vec::new()).await
    }

    pub(crate) async fn with(auth: AuthMode, registries: Vec<RegistrySettings>) -> Self {
        Self::with_route_settings(auth, registries, RouteSettings::default()).await
    }

    pub(crate) async fn with_route_settings(
        auth: AuthMode,
        registries: Vec<RegistrySettings>,
        route_settings: RouteSettings,
    ) -> Self {
        Self::counted(auth, registries, route_settings, &Metrics::new()).await
    }

    /// What it counts is counted in `metrics`.
    pub(crate) async fn counted(
        auth: AuthMode,
        registries: Vec<RegistrySettings>,
        route_settings: RouteSettings,
        metrics: &Metrics,
    ) -> Self {
        Self::whole(auth, registries, route_settings, metrics, Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        let (registries, route_settings) = (Vec::new(), RouteSettings::default());
        Self::whole(
            AuthMode::Tokens,
            registries,
            route_settings,
            &Metrics::new(),
            limits,
        )
        .await
    }

    /// On what lies in this folder.
    pub(crate) async fn in_folder(folder: TempDir, registries: Vec<RegistrySettings>) -> Self {
        let (route_settings, limits) = (RouteSettings::default(), Limits::default());
        Self::on(
            folder,
            AuthMode::Tokens,
            registries,
            route_settings,
            &Metrics::new(),
            limits,
        )
        .await
    }

    async fn whole(
        auth: AuthMode,
        registries: Vec<RegistrySettings>,
        route_settings: RouteSettings,
        metrics: &Metrics,
        limits: Limits,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Box::pin(Self::on(
            folder,
            auth,
            registries,
            route_settings,
            metrics,
            limits,
        ))
        .await
    }

    async fn on(
        folder: TempDir,
        auth: AuthMode,
        registries: Vec<RegistrySettings>,
        route_settings: RouteSettings,
        metrics: &Metrics,
        limits: Limits,
    ) -> Self {
        process::install_tls_provider();
        let clock = Arc::new(TestClock::at(START_MS));
        let preheater = preheater(folder.path(), Arc::clone(&clock), registries, limits).await;
        let key = CallerKey::at(&folder.path().join("callers.key")).expect("a key");
        let authority = Authority::at(folder.path(), START_MS / 1_000).expect("an authority");
        let shown = authority.server_certificate(START_MS / 1_000).expect("signed");
        let own = OwnCertificate::new(&shown.chain_pem, &shown.key).expect("a certificate");
        let acceptor = MutualAcceptor::new(authority.ca_pem(), &own, Callers::MayShow).expect("an acceptor");
        let running = Running::new();
        let app = App::new(AppParts {
            preheater: preheater.clone(),
            callers: key.clone(),
            authority,
            auth,
            clock: clock.clone(),
            route_settings,
        });
        let listener = process::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let for_peers = process::bind("127.0.0.1:0").await.expect("a port");
        let peer_address = for_peers.local_addr().expect("an address");
        let peer_router = api::peer_router(app.clone(), metrics);
        process::serve_mutual(for_peers, peer_router, &running, &acceptor);
        process::serve(listener, api::router(app, metrics), &running, None).expect("served");
        let http = process::http::client(&process::http::ClientOptions::default()).expect("a client");
        Self {
            address,
            peer_address,
            clock,
            preheater,
            http,
            key,
            running,
            folder,
        }
    }

    /// Lets the manager resolve and plan, until the world is dropped.
    pub(crate) fn start_workers(&self) {
        let background = self.preheater.start_workers(self.running.stopping().clone());
        self.running.spawn(background.drain());
    }

    pub(crate) async fn token(&self, scopes: impl IntoIterator<Item = Scope>) -> Token {
        self.token_for(scopes, Lifetime::default()).await
    }

    pub(crate) async fn token_for(
        &self,
        scopes: impl IntoIterator<Item = Scope>,
        lifetime: Lifetime,
    ) -> Token {
        let wish = TokenWish {
            name: "test".to_owned(),
            scopes: Scopes::new(scopes),
            lifetime,
        };
        let created = create(&self.preheater, &self.key, wish, self.clock.now_ms())
            .await
            .expect("a token");
        Token {
            id: created.token.id,
            text: created.text.expose().to_owned(),
        }
    }

    /// A token that stands in a path.
    pub(crate) async fn endpoint(&self) -> Token {
        let lifetime = Lifetime::default();
        let created = create_endpoint(&self.preheater, "test".to_owned(), lifetime, self.clock.now_ms())
            .await
            .expect("a token");
        Token {
            id: created.token.id,
            text: created.text.expose().to_owned(),
        }
    }

    /// Without a credential, or with what the path holds.
    pub(crate) async fn bare_get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).timeout(PATIENCE)).await
    }

    pub(crate) async fn bare_post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.http.post(self.url(path)).json(body).timeout(PATIENCE)).await
    }

    /// Where peers call.
    pub(crate) fn peer_url(&self) -> String {
        format!("https://{}", self.peer_address)
    }

    /// A join token, made as the command line makes it.
    pub(crate) async fn join_token(&self, role: Role, cluster: &str) -> String {
        let body = serde_json::json!({"scope": role, "cluster": cluster});
        self.join_token_for(&body).await.1
    }

    /// A join token's id and its text.
    pub(crate) async fn join_token_for(&self, body: &Value) -> (String, String) {
        let admin = self.token([Scope::Admin]).await.text;
        let made = self.post("/api/v1/join-tokens", &admin, body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let field = |name: &str| made.json()[name].as_str().expect("text").to_owned();
        (field("id"), field("token"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.http
            .request(method, self.url(path))
            .bearer_auth(token)
            .timeout(PATIENCE)
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        Answer::of(self.ask(Method::GET, path, token)).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        Answer::of(self.ask(Method::POST, path, token).json(body)).await
    }

    /// Preheats that stand in the database, asked of the domain itself.
    pub(crate) async fn stored(&self) -> usize {
        let query = preheat::ListQuery {
            limit: 100,
            ..preheat::ListQuery::default()
        };
        preheat::list(&self.preheater, query).await.expect("read").len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.stopping().cancel();
    }
}

pub(crate) async fn database_in(folder: &Path) -> Database {
    let url = format!("sqlite:{}", folder.join("stoker.db").display());
    Database::open(&url).await.expect("a database")
}

async fn preheater(
    folder: &Path,
    clock: Arc<TestClock>,
    settings: Vec<RegistrySettings>,
    limits: Limits,
) -> Preheater {
    let db = database_in(folder).await;
    migrations::Migrator::up(db.connection_for_migrations(), None)
        .await
        .expect("migrated");
    let client = |tls: &TlsOptions| {
        let options = process::http::ClientOptions {
            ca_pem: tls.ca_pem.clone(),
            insecure_skip_verify: tls.insecure_skip_verify,
            ..process::http::ClientOptions::default()
        };
        process::http::client(&options).map_err(oci::BuildError::new)
    };
    let registries = Registries::new(Arc::new(client));
    registries.configure(settings);
    Preheater::new(Parts {
        db,
        registries,
        clock,
        secrets_key: [3; 32],
        limits: Limits {
            spot_check_every: None,
            ..limits
        },
        descriptions: Vec::new(),
        dial: oci::DialRules::default(),
        clusters: std::collections::BTreeMap::new(),
        trace_pages: TracePages::at(JAEGER),
        webhooks: preheat::Webhooks::default(),
        signing: api::tokens::signing_key(&folder.join("peer.key")).expect("a key"),
    })
    .expect("a preheater")
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.expect("a body"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|fault| panic!("{fault}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// Checks that this is an RFC 9457 problem with this status, and gives its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(
            problem["type"]
                .as_str()
                .is_some_and(|kind| kind.starts_with("urn:stoker:problem:")),
            "{problem}"
        );
        assert!(
            problem["title"].as_str().is_some_and(|title| !title.is_empty()),
            "{problem}"
        );
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}
