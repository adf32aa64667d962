//! A manager on a database of its own, a registry that answers what it is told to, and peers that do as a test says.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use migrations::{Migrator, MigratorTrait};
use oci::{Credential, Digest, ImageReference, Registries, RegistrySettings, TlsOptions};
use preheat::{
    Background, ClusterSettings, Limits, Parts, PreheatRequest, PreheatState, PreheatView, Preheater,
    Requester, Scope, TracePages, Webhooks,
};
use queue::{Database, TestClock};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    Hello, Holding, HoldingsReport, Lot, PeerIdentity, PlacementOutcome, Reply, Role, SettleRequest,
    Settlement, Side, SigningKey, SpotCheckOutcome, TakeRequest, TakeResponse, Welcome,
};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const START_MS: i64 = 1_800_000_000_000;

pub(crate) struct World {
    pub(crate) preheater: Preheater,
    pub(crate) registries: Registries,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) registry: FakeRegistry,
    pub(crate) dir: TempDir,
    webhooks: Webhooks,
    stop: CancellationToken,
    background: Option<Background>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::with(limits, BTreeMap::new(), Webhooks::default()).await
    }

    /// With settings for the cluster that peers are in unless a test says otherwise.
    pub(crate) async fn with_cluster(settings: ClusterSettings) -> Self {
        let clusters = BTreeMap::from([("default".to_owned(), settings)]);
        Self::with(Limits::default(), clusters, Webhooks::default()).await
    }

    pub(crate) async fn with_webhooks(webhooks: Webhooks) -> Self {
        Self::with(Limits::default(), BTreeMap::new(), webhooks).await
    }

    async fn with(limits: Limits, clusters: BTreeMap<String, ClusterSettings>, webhooks: Webhooks) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let client = |_: &TlsOptions| Ok(reqwest::Client::builder().no_proxy().build().unwrap());
        let registries = Registries::new(Arc::new(client));
        let clock = Arc::new(TestClock::at(START_MS));
        let preheater = manager(&dir, &registries, &clock, limits, clusters, webhooks.clone()).await;
        let stop = CancellationToken::new();
        let background = Some(preheater.start_workers(stop.clone()));
        let registry = FakeRegistry::start().await;
        Self {
            preheater,
            registries,
            clock,
            registry,
            dir,
            webhooks,
            stop,
            background,
        }
    }

    /// Ends the manager's own tasks: what is written then stays as it was written.
    pub(crate) async fn idle(&mut self) {
        self.stop.cancel();
        if let Some(background) = self.background.take() {
            background.drain().await;
        }
    }

    /// Another manager on the same database, after the old one has been away for a while.
    pub(crate) async fn restart(&mut self, away: Duration) {
        self.idle().await;
        self.clock.advance(i64::try_from(away.as_millis()).unwrap());
        let (limits, clusters, webhooks) = (Limits::default(), BTreeMap::new(), self.webhooks.clone());
        self.preheater = manager(
            &self.dir,
            &self.registries,
            &self.clock,
            limits,
            clusters,
            webhooks,
        )
        .await;
        self.stop = CancellationToken::new();
        self.background = Some(self.preheater.start_workers(self.stop.clone()));
    }

    pub(crate) fn request(&self, reference: &str, scope: Scope) -> PreheatRequest {
        let url = format!("http://{}/v2/team/app/manifests/{reference}", self.registry.host);
        let image = ImageReference::from_manifest_url(&url).unwrap();
        PreheatRequest {
            scope,
            ..PreheatRequest::new(image, Requester::Api)
        }
    }

    pub(crate) async fn submit(&self, reference: &str, scope: Scope) -> i64 {
        self.submit_request(self.request(reference, scope)).await
    }

    pub(crate) async fn submit_request(&self, request: PreheatRequest) -> i64 {
        preheat::submit(&self.preheater, Some("token-1"), request, None)
            .await
            .unwrap()
    }

    pub(crate) fn configure(&self, credential: Credential) {
        self.configure_with(credential, true);
    }

    pub(crate) fn configure_with(&self, credential: Credential, plain_http: bool) {
        let name = self.registry.host.parse().unwrap();
        let settings = RegistrySettings {
            plain_http,
            credential,
            ..RegistrySettings::new(name)
        };
        self.registries.configure(vec![settings]);
    }

    pub(crate) async fn view(&self, id: i64) -> PreheatView {
        preheat::get(&self.preheater, id).await.unwrap().unwrap()
    }

    pub(crate) async fn until(&self, id: i64, is_it: impl Fn(&PreheatView) -> bool) -> PreheatView {
        for _ in 0..1_500 {
            let view = self.view(id).await;
            if is_it(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not come to that: {:?}", self.view(id).await);
    }

    pub(crate) async fn until_state(&self, id: i64, state: PreheatState) -> PreheatView {
        self.until(id, |view| view.state == state).await
    }

    /// One preheat that fails for what the registry said.
    pub(crate) async fn reason_of_failure(&self, reference: &str) -> String {
        self.seed("seed-1").await;
        let id = self.submit(reference, Scope::SingleSeedPeer).await;
        let view = self.until(id, |view| view.state.has_ended()).await;
        assert_eq!(view.state, PreheatState::Failed);
        view.reason.unwrap()
    }

    /// A text without the registry's address, whose port changes.
    pub(crate) fn without_host(&self, text: &str) -> String {
        text.replace(&self.registry.host, "REGISTRY")
    }

    pub(crate) async fn advance(&self, by: Duration) {
        self.clock.advance(i64::try_from(by.as_millis()).unwrap());
        self.preheater.sweep().await.unwrap();
    }

    pub(crate) async fn seed(&self, name: &str) -> Peer {
        self.peer(name, Role::Seed, "default", Uuid::new_v4()).await
    }

    pub(crate) async fn node(&self, name: &str) -> Peer {
        self.peer(name, Role::Node, "default", Uuid::new_v4()).await
    }

    pub(crate) async fn peer(&self, name: &str, role: Role, cluster: &str, id: Uuid) -> Peer {
        self.say_hello(identity(role, cluster, id), hello(name)).await
    }

    /// A peer that is reached under this address.
    pub(crate) async fn peer_at(&self, address: &str, role: Role, id: Uuid) -> Peer {
        let hello = Hello {
            advertise: Some(address.to_owned()),
            ..hello(address)
        };
        self.say_hello(identity(role, "default", id), hello).await
    }

    async fn say_hello(&self, identity: PeerIdentity, hello: Hello) -> Peer {
        let name = hello.name.clone();
        let seen = "10.0.0.1".parse().unwrap();
        let welcome = preheat::hello(&self.preheater, &identity, hello, seen)
            .await
            .unwrap();
        Peer {
            preheater: self.preheater.clone(),
            id: identity.peer,
            role: identity.role,
            name,
            welcome,
        }
    }
}

pub(crate) fn identity(role: Role, cluster: &str, peer: Uuid) -> PeerIdentity {
    PeerIdentity {
        peer,
        cluster: cluster.parse().unwrap(),
        role,
    }
}

pub(crate) fn hello(name: &str) -> Hello {
    Hello {
        wire_version: wire::VERSION,
        name: name.to_owned(),
        advertise: Some(format!("{name}.lan")),
        share_port: 65_002,
        software: "test".to_owned(),
        holdings_hash: wire::holdings_hash([]),
    }
}

async fn manager(
    dir: &TempDir,
    registries: &Registries,
    clock: &Arc<TestClock>,
    limits: Limits,
    clusters: BTreeMap<String, ClusterSettings>,
    webhooks: Webhooks,
) -> Preheater {
    let url = format!("sqlite:{}", dir.path().join("stoker.db").display());
    let db = Database::open(&url).await.unwrap();
    Migrator::up(db.connection_for_migrations(), None).await.unwrap();
    let parts = Parts {
        db,
        registries: registries.clone(),
        clock: Arc::clone(clock) as Arc<dyn queue::Clock>,
        secrets_key: [7; 32],
        // Seeds are checked when a test says so.
        limits: Limits {
            spot_check_every: None,
            ..limits
        },
        descriptions: Vec::new(),
        dial: oci::DialRules::default(),
        clusters,
        trace_pages: TracePages::at("http://jaeger.example:16686"),
        webhooks,
        signing: SigningKey::from_pkcs8(&SigningKey::generate_pkcs8()).unwrap(),
    };
    Preheater::new(parts).unwrap()
}

#[derive(Clone)]
pub(crate) struct Peer {
    preheater: Preheater,
    pub(crate) id: Uuid,
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) welcome: Welcome,
}

impl Peer {
    /// The same session, at the manager that runs now.
    pub(crate) fn at(&self, world: &World) -> Self {
        Self {
            preheater: world.preheater.clone(),
            ..self.clone()
        }
    }

    pub(crate) fn session(&self) -> Uuid {
        self.welcome.session
    }

    pub(crate) async fn try_take(&self, wait_ms: u64) -> Result<TakeResponse, preheat::SessionError> {
        let version = self.neighbourhood_version().await?;
        preheat::take(
            &self.preheater,
            self.session(),
            TakeRequest {
                wait_ms,
                ..ask(16, version)
            },
        )
        .await
    }

    /// With this a call is not answered for news of the surroundings.
    pub(crate) async fn neighbourhood_version(&self) -> Result<String, preheat::SessionError> {
        let around = preheat::take(&self.preheater, self.session(), ask(0, String::new()))
            .await?
            .neighbourhood;
        Ok(around.map(|around| around.version).unwrap_or_default())
    }

    /// What is there at once.
    pub(crate) async fn take_now(&self) -> Vec<Lot> {
        self.try_take(0).await.unwrap().lots
    }

    /// Waits for work; panics if none comes.
    pub(crate) async fn take(&self) -> Vec<Lot> {
        for _ in 0..100 {
            let lots = self.try_take(200).await.unwrap().lots;
            if !lots.is_empty() {
                return lots;
            }
        }
        panic!("no work came for {}", self.name);
    }

    /// Says what it holds: all of these, and nothing else.
    pub(crate) async fn holds(&self, digests: &[&str]) {
        let held = |digest: &&str| Holding {
            digest: (*digest).to_owned(),
            size: 1,
        };
        let report = HoldingsReport {
            starts_full_list: true,
            gained: digests.iter().map(held).collect(),
            lost: Vec::new(),
        };
        preheat::holdings(&self.preheater, self.session(), report)
            .await
            .unwrap();
    }

    /// Answers spot checks like this for ever.
    pub(crate) async fn compares(&self, compared: SpotCheckOutcome) {
        let mut version = String::new();
        loop {
            let request = TakeRequest {
                wait_ms: 100,
                // The list of removed peers is no news.
                removals: i64::MAX,
                ..ask(0, version.clone())
            };
            let taken = preheat::take(&self.preheater, self.session(), request).await;
            let Ok(answer) = taken else {
                return std::future::pending().await;
            };
            version = answer.neighbourhood.map_or(version, |around| around.version);
            for question in answer.questions {
                assert!(question.check.is_some(), "{question:?}");
                let reply = Reply {
                    compared: Some(compared.clone()),
                    ..Reply::default()
                };
                preheat::answer(&self.preheater, self.session(), question.id, reply)
                    .await
                    .unwrap();
            }
        }
    }

    pub(crate) async fn settle(&self, settled: Vec<Settlement>) -> Vec<i64> {
        let request = SettleRequest { settled };
        preheat::settle(&self.preheater, self.session(), request)
            .await
            .unwrap()
            .stale
    }

    pub(crate) async fn verify_all(&self, lots: &[Lot]) {
        let stale = self.settle(lots.iter().flat_map(verified).collect()).await;
        assert!(stale.is_empty(), "stale: {stale:?}");
    }
}

fn ask(at_most: u32, neighbourhood_version: String) -> TakeRequest {
    TakeRequest {
        at_most,
        wait_ms: 0,
        neighbourhood_version,
        working_on: Vec::new(),
        images: None,
        removals: 0,
    }
}

pub(crate) fn verified(lot: &Lot) -> Vec<Settlement> {
    let outcome = PlacementOutcome::Verified {
        bytes_from_registry: 1,
        bytes_from_peers: 0,
    };
    with_outcome(lot, &outcome)
}

pub(crate) fn failed(lot: &Lot, reason: &str) -> Vec<Settlement> {
    with_outcome(
        lot,
        &PlacementOutcome::Failed {
            reason: reason.to_owned(),
            side: Side::Registry,
        },
    )
}

fn with_outcome(lot: &Lot, outcome: &PlacementOutcome) -> Vec<Settlement> {
    let settled = |digest: &String| Settlement {
        work: lot.work,
        fence: lot.fence,
        digest: digest.clone(),
        outcome: outcome.clone(),
    };
    lot.placements
        .iter()
        .map(|placement| settled(&placement.digest))
        .collect()
}

/// Answers manifests, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct FakeRegistry {
    pub(crate) host: String,
    shared: Arc<Mutex<Answers>>,
}

#[derive(Default)]
struct Answers {
    manifests: HashMap<String, (StatusCode, String, Vec<u8>)>,
    /// The only `Authorization` that is let in; none lets everybody in.
    opens_to: Option<String>,
    asked: Vec<(String, Option<String>)>,
    /// `HEAD /v2/team/app/manifests/v1`
    requests: Vec<String>,
}

impl FakeRegistry {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Answers::default()));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { host, shared }
    }

    pub(crate) fn open_only_to(&self, authorization: &str) {
        self.shared.lock().unwrap().opens_to = Some(authorization.to_owned());
    }

    /// Every `Authorization` that came with a request.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap();
        shared
            .asked
            .iter()
            .filter_map(|(_, authorization)| authorization.clone())
            .collect()
    }

    pub(crate) fn asked(&self) -> usize {
        self.shared.lock().unwrap().asked.len()
    }

    /// What was asked since the last time.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
    }

    /// Whatever is asked for by this tag or digest gets this answer; `referrers/sha256:…` is a list's.
    pub(crate) fn answers(&self, reference: &str, status: u16, media_type: &str, body: &[u8]) {
        let answer = (
            StatusCode::from_u16(status).unwrap(),
            media_type.to_owned(),
            body.to_vec(),
        );
        self.shared
            .lock()
            .unwrap()
            .manifests
            .insert(reference.to_owned(), answer);
    }

    /// Keeps a document by its digest, and by a tag if one is given.
    pub(crate) fn keep(
        &self,
        tag: Option<&str>,
        media_type: &str,
        document: &serde_json::Value,
    ) -> (Digest, usize) {
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        for reference in tag.into_iter().chain([digest.as_str()]) {
            self.answers(reference, 200, media_type, &bytes);
        }
        (digest, bytes.len())
    }

    /// An image of these layers: 2 objects more than layers.
    pub(crate) fn image(&self, tag: Option<&str>, layers: &[&str]) -> (Digest, usize) {
        self.keep(tag, OCI_MANIFEST, &manifest(layers))
    }
}

pub(crate) fn manifest(layers: &[&str]) -> serde_json::Value {
    let layers: Vec<_> = layers.iter().map(|name| descriptor(LAYER, name, 100)).collect();
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": descriptor(CONFIG, &format!("config of {layers:?}"), 10), "layers": layers,
    })
}

pub(crate) fn descriptor(media_type: &str, name: &str, size: i64) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": Digest::of(name.as_bytes()), "size": size })
}

/// An index over manifests and the platforms that they are for.
pub(crate) fn index(entries: &[(&(Digest, usize), &str, &str)]) -> serde_json::Value {
    let entries: Vec<_> = entries
        .iter()
        .map(|((digest, size), media_type, architecture)| {
            let os = if *architecture == "unknown" {
                "unknown"
            } else {
                "linux"
            };
            json!({
                "mediaType": media_type, "digest": digest, "size": size,
                "platform": { "os": os, "architecture": architecture },
            })
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries })
}

async fn answer(State(shared): State<Arc<Mutex<Answers>>>, request: Request) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    let mut answers = shared.lock().unwrap();
    let line = format!("{} {}", request.method(), request.uri().path());
    answers.requests.push(line);
    answers
        .asked
        .push((request.uri().path().to_owned(), authorization.clone()));
    if answers.opens_to.is_some() && answers.opens_to != authorization {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"registry\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "{}").into_response();
    }
    let path = request.uri().path();
    let (folder, mut reference) = path.rsplit_once('/').unwrap_or_default();
    let list = format!("referrers/{reference}");
    if folder.ends_with("/referrers") {
        reference = &list;
    }
    match answers.manifests.get(reference) {
        Some((status, media_type, body)) => {
            let digest = Digest::of(body).to_string();
            let headers = [
                ("content-type", media_type.clone()),
                ("docker-content-digest", digest),
            ];
            (*status, headers, body.clone()).into_response()
        }
        None => (
            StatusCode::NOT_FOUND,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#,
        )
            .into_response(),
    }
}
