//! A registry with users and a token server, a front in front of it, and a client that asks as containerd does.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use oci::challenge::{Challenge, parse};
use oci::{Credential, Digest, Location, Registries, RegistrySettings, Secret};
use parking_lot::{Mutex, MutexGuard};
use process::Running;
use process::http::{ClientOptions, client};
use process::metrics::Metrics;
use store::Store;
use store::testing::Signer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Neighbourhood, OfflineAccess, Pull, PullResult, Role, SeedAddress, TagRecord};

use crate::access::Access;
use crate::config::{FrontLimits, UnprovenRanges};
use crate::delivery::Delivery;
use crate::fetch::tests::support::{eventually, shown_to_a_peer, unlimited};
use crate::fetch::{Fetches, Sources};
use crate::front::{FrontState, RangeRules, router};
use crate::membership::tests::{Authority, JoinedPeer};
use crate::metrics::PeerMetrics;
use crate::metrics::tests::scraped;
use crate::neighbours::Neighbours;
use crate::records::Records;
use crate::share::ShareState;
use clients::client_factory;
use settings::OwnRegistry;

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// Harbor's body for an image with too many vulnerabilities.
/// The registry's own message in [`BARRED`].
pub(super) const BAR_MESSAGE: &str =
    "current image with 3 vulnerabilities cannot be pulled due to configured policy";
pub(super) const BARRED: &str = r#"{"errors":[{"code":"PROJECTPOLICYVIOLATION","message":"current image with 3 vulnerabilities cannot be pulled due to configured policy"}]}"#;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignIn {
    None,
    Basic,
    Bearer,
}

/// What the registry does with a request.
#[derive(Clone)]
pub(super) enum Fate {
    /// This status, with these headers and no body.
    Answered(StatusCode, Vec<(&'static str, String)>),
    /// The normal response, once the token is cancelled.
    Held(CancellationToken),
    /// The normal response.
    AsUsual,
}

#[derive(Default)]
struct Repository {
    tags: HashMap<String, Digest>,
    manifests: HashMap<Digest, (Bytes, &'static str)>,
    blobs: HashMap<Digest, Bytes>,
}

#[derive(Clone)]
pub(super) struct ScriptedRegistry(Arc<Mutex<Contents>>);

struct Contents {
    sign_in: SignIn,
    repositories: HashMap<String, Repository>,
    /// Served with one byte changed.
    wrong: HashSet<Digest>,
    /// Its challenge names Harbor's service.
    harbor: bool,
    /// GETs of manifests get 412, as of an image with too many vulnerabilities.
    bars: bool,
    /// Every request is refused with this status.
    refuses: Option<StatusCode>,
    /// By the start of the method and path; the last match counts.
    fates: Vec<(String, Fate)>,
    /// Bodies of GETs wait for this.
    holds: Option<CancellationToken>,
    tokens: HashMap<String, Option<String>>,
    /// `Warning` of each object.
    warns: Option<String>,
    /// The token that its server issues to every caller.
    gives: Option<serde_json::Value>,
    requests: Vec<String>,
    authorizations: Vec<String>,
}

/// Digests of an image with an index, one platform and one layer.
pub(super) struct Image {
    pub(super) index: Digest,
    pub(super) manifest: Digest,
    pub(super) config: Digest,
    pub(super) layer: Digest,
    pub(super) layer_bytes: Bytes,
}

/// `ann` may read `a`, `bob` may read `b`, anybody may read `open`. Passwords are `pw-` and the name.
fn may(user: Option<&str>, repository: &str) -> bool {
    matches!(
        (user, repository),
        (_, "open") | (Some("ann"), "a") | (Some("bob"), "b")
    )
}

fn user_of(basic: &str) -> Option<String> {
    let decoded = String::from_utf8(BASE64.decode(basic.strip_prefix("Basic ")?).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    (password == format!("pw-{user}")).then(|| user.to_owned())
}

impl ScriptedRegistry {
    fn new(sign_in: SignIn) -> Self {
        Self(Arc::new(Mutex::new(Contents {
            sign_in,
            repositories: HashMap::new(),
            wrong: HashSet::new(),
            harbor: false,
            bars: false,
            refuses: None,
            fates: Vec::new(),
            holds: None,
            tokens: HashMap::new(),
            warns: None,
            gives: None,
            requests: Vec::new(),
            authorizations: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock()
    }

    /// Puts an image with this layer into `repository`, tagged `v1`.
    pub(super) fn push(&self, repository: &str, layer: impl Into<Bytes>) -> Image {
        let layer_bytes: Bytes = layer.into();
        let (layer, config) = (Digest::of(&layer_bytes), Digest::of(repository.as_bytes()));
        let manifest_text = serde_json::json!({
            "schemaVersion": 2, "mediaType": IMAGE,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": repository.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_bytes.len() }],
        })
        .to_string();
        let manifest = Digest::of(manifest_text.as_bytes());
        let index_text = serde_json::json!({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [{ "mediaType": IMAGE, "digest": manifest, "size": manifest_text.len() }],
        })
        .to_string();
        let index = Digest::of(index_text.as_bytes());
        let mut contents = self.lock();
        let held = contents.repositories.entry(repository.to_owned()).or_default();
        held.tags.insert("v1".to_owned(), index.clone());
        held.manifests.insert(index.clone(), (index_text.into(), INDEX));
        held.manifests
            .insert(manifest.clone(), (manifest_text.into(), IMAGE));
        held.blobs
            .insert(config.clone(), Bytes::copy_from_slice(repository.as_bytes()));
        held.blobs.insert(layer.clone(), layer_bytes.clone());
        Image {
            index,
            manifest,
            config,
            layer,
            layer_bytes,
        }
    }

    pub(super) fn serves_wrong_bytes_of(&self, digest: &Digest) {
        self.lock().wrong.insert(digest.clone());
    }

    pub(super) fn is_a_harbor(&self) {
        self.lock().harbor = true;
    }

    /// From now on its token server issues this token to every caller.
    pub(super) fn gives(&self, answer: serde_json::Value) {
        self.lock().gives = Some(answer);
    }

    /// From now on each object comes with this `Warning`.
    pub(super) fn warns(&self, warning: &str) {
        self.lock().warns = Some(warning.to_owned());
    }

    /// Sets whether GETs of manifests are refused as by a rule of a Harbor project.
    pub(super) fn bars_images(&self, bars: bool) {
        self.lock().bars = bars;
    }

    /// From now on every request for an object is refused.
    pub(super) fn refuses_with(&self, status: StatusCode) {
        self.lock().refuses = Some(status);
    }

    /// From now on this happens to requests that begin so (`HEAD /v2/a/`).
    pub(super) fn treats(&self, start: &str, fate: Fate) {
        self.lock().fates.push((start.to_owned(), fate));
    }

    /// The response begins once the token is cancelled.
    pub(super) fn holds(&self, start: &str) -> CancellationToken {
        let token = CancellationToken::new();
        self.treats(start, Fate::Held(token.clone()));
        token
    }

    /// Answers with a status and nothing else.
    pub(super) fn answers(&self, start: &str, status: StatusCode) {
        self.treats(start, Fate::Answered(status, Vec::new()));
    }

    fn fate(&self, line: &str) -> Fate {
        let contents = self.lock();
        let mut fates = contents.fates.iter().rev();
        let fate = fates.find(|(start, _)| line.starts_with(start.as_str()));
        fate.map_or(Fate::AsUsual, |(_, fate)| fate.clone())
    }

    /// From now on bodies are held back, until the token is cancelled.
    pub(super) fn holds_bodies(&self) -> CancellationToken {
        let token = CancellationToken::new();
        self.lock().holds = Some(token.clone());
        token
    }

    /// `GET /v2/…` lines so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    pub(super) fn count(&self, start: &str) -> usize {
        self.lock()
            .requests
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }

    /// Every `Authorization` and every form that it received.
    pub(super) fn authorizations(&self) -> Vec<String> {
        self.lock().authorizations.clone()
    }
}

async fn answer(State(registry): State<ScriptedRegistry>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = axum::body::to_bytes(body, 10_000).await.unwrap_or_default();
    let authorization = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let line = format!("{} {}", parts.method, parts.uri.path());
    let fate = registry.fate(&line);
    {
        let mut contents = registry.lock();
        contents.requests.push(line);
        contents.authorizations.push(authorization.clone());
    }
    match fate {
        Fate::AsUsual => {}
        Fate::Held(token) => token.cancelled().await,
        Fate::Answered(status, headers) => {
            let headers = axum::response::AppendHeaders(headers);
            return (status, headers).into_response();
        }
    }
    let mut contents = registry.lock();
    if parts.uri.path() == "/token" {
        return give_token(&mut contents, &form, &authorization);
    }
    if let Some(status) = contents.refuses {
        return status.into_response();
    }
    let host = parts
        .headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let Some((repository, kind, name)) = split(parts.uri.path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(challenge) = challenge(&contents, host, repository, &authorization) {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    }
    if contents.bars && kind == "manifests" && parts.method == Method::GET {
        return (StatusCode::PRECONDITION_FAILED, BARRED).into_response();
    }
    found(&contents, repository, kind, name, parts.method == Method::HEAD)
        .unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (rest, name) = path.strip_prefix("/v2/")?.rsplit_once('/')?;
    let (repository, kind) = rest.rsplit_once('/')?;
    Some((repository, kind, name))
}

fn give_token(contents: &mut Contents, form: &[u8], authorization: &str) -> Response {
    let fields: HashMap<String, String> = url::form_urlencoded::parse(form).into_owned().collect();
    contents
        .authorizations
        .push(String::from_utf8_lossy(form).into_owned());
    if let Some(answer) = &contents.gives {
        return axum::Json(answer.clone()).into_response();
    }
    let user = match (fields.get("username"), fields.get("password")) {
        (Some(user), Some(password)) if *password == format!("pw-{user}") => Some(user.clone()),
        (Some(_), _) => return StatusCode::UNAUTHORIZED.into_response(),
        _ if authorization.is_empty() => None,
        _ => match user_of(authorization) {
            Some(user) => Some(user),
            None => return StatusCode::UNAUTHORIZED.into_response(),
        },
    };
    let token = format!(
        "token-{}-{}",
        contents.tokens.len(),
        user.as_deref().unwrap_or("nobody")
    );
    contents.tokens.insert(token.clone(), user);
    axum::Json(serde_json::json!({ "token": token, "expires_in": 300 })).into_response()
}

/// The response to a caller who may not read the repository.
fn challenge(contents: &Contents, host: &str, repository: &str, authorization: &str) -> Option<String> {
    match contents.sign_in {
        SignIn::None => None,
        SignIn::Basic => {
            (!may(user_of(authorization).as_deref(), repository)).then(|| "Basic realm=\"fake\"".to_owned())
        }
        SignIn::Bearer => {
            let service = if contents.harbor {
                "harbor-registry"
            } else {
                "fake"
            };
            let token = authorization
                .strip_prefix("Bearer ")
                .and_then(|token| contents.tokens.get(token));
            let error = match token {
                Some(user) if may(user.as_deref(), repository) => return None,
                Some(_) => ",error=\"insufficient_scope\"",
                None => "",
            };
            Some(format!(
                "Bearer realm=\"http://{host}/token\",service=\"{service}\",scope=\"repository:{repository}:pull\"{error}"
            ))
        }
    }
}

fn found(contents: &Contents, repository: &str, kind: &str, name: &str, head: bool) -> Option<Response> {
    let objects = contents.repositories.get(repository)?;
    let digest = objects.tags.get(name).cloned().or_else(|| name.parse().ok())?;
    let (bytes, media_type) = match kind {
        "manifests" => objects.manifests.get(&digest).cloned()?,
        _ => (objects.blobs.get(&digest).cloned()?, "application/octet-stream"),
    };
    let mut sent = bytes.to_vec();
    if contents.wrong.contains(&digest)
        && let Some(last) = sent.last_mut()
    {
        *last ^= 1;
    }
    let headers = [
        (CONTENT_LENGTH.as_str(), bytes.len().to_string()),
        (CONTENT_TYPE.as_str(), media_type.to_owned()),
        ("docker-content-digest", digest.to_string()),
    ];
    let body = match contents.holds.clone() {
        _ if head => Body::empty(),
        None => Body::from(sent),
        Some(token) => Body::from_stream(futures_util::stream::once(async move {
            token.cancelled().await;
            Ok::<_, std::io::Error>(Bytes::from(sent))
        })),
    };
    let mut response = (headers, body).into_response();
    if let Some(warning) = &contents.warns {
        let warning = warning.parse().expect("a header");
        response.headers_mut().insert("warning", warning);
    }
    Some(response)
}

/// A front, its registry, and a clock that only the test advances.
pub(super) struct FrontFixture {
    pub(super) registry: ScriptedRegistry,
    pub(super) registry_name: String,
    /// Another allowed registry, of another owner.
    pub(super) other: ScriptedRegistry,
    pub(super) other_name: String,
    pub(super) store: Store,
    pub(super) front: SocketAddr,
    state: FrontState,
    neighbours: Neighbours,
    http: reqwest::Client,
    now: Arc<AtomicI64>,
    registry_runs: Running,
    pub(super) running: Running,
    ranges: RangeRules,
    folders: Vec<TempDir>,
    /// Signs as this peer's manager does.
    pub(super) signer: Signer,
    member: JoinedPeer,
}

/// A response.
pub(super) struct FrontResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// None if the transfer was cut off.
    pub(super) body: Option<Bytes>,
}

impl FrontResponse {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(super) fn challenge(&self) -> &str {
        self.header("www-authenticate")
    }
}

impl FrontFixture {
    pub(super) async fn new(sign_in: SignIn) -> Self {
        Self::with(sign_in, OfflineAccess::KeptYes, Credential::Anonymous).await
    }

    pub(super) async fn with(sign_in: SignIn, offline_access: OfflineAccess, credential: Credential) -> Self {
        process::install_tls_provider();
        let (registry, registry_runs) = (ScriptedRegistry::new(sign_in), Running::new());
        let served = Router::new().fallback(answer).with_state(registry.clone());
        let registry_name = serve(served, &registry_runs).await.to_string();
        let settings = RegistrySettings {
            plain_http: true,
            credential,
            ..RegistrySettings::new(registry_name.parse().expect("a registry"))
        };
        let other = ScriptedRegistry::new(sign_in);
        let served = Router::new().fallback(answer).with_state(other.clone());
        let other_name = serve(served, &registry_runs).await.to_string();
        let others = RegistrySettings {
            plain_http: true,
            ..RegistrySettings::new(other_name.parse().expect("a registry"))
        };
        let folder = tempfile::tempdir().expect("a folder");
        let own = [(settings, offline_access), (others, OfflineAccess::KeptYes)];
        let own = own.map(|(settings, offline_access)| OwnRegistry {
            settings,
            offline_access,
            authorize: None,
            bandwidth: None,
        });
        let registries = Registries::new(client_factory());
        let neighbours = Neighbours::open(
            Uuid::nil(),
            "default",
            folder.path(),
            own.into(),
            oci::DialRules::default(),
            registries,
        );
        let store = Store::open(&folder.path().join("store")).expect("a store");
        let (running, now) = (Running::new(), Arc::new(AtomicI64::new(1_000_000)));
        let authority = Authority::new();
        let member = authority.member(Role::Node, "default");
        let ranges = RangeRules::of(&FrontLimits::default());
        let state = front_state(&store, &member, &neighbours, &running, &now, ranges);
        let front = serve(router(state.clone(), &Metrics::new()), &running).await;
        Self {
            registry,
            registry_name,
            other,
            other_name,
            store,
            front,
            state,
            neighbours,
            http: client(&ClientOptions::default()).expect("a client"),
            now,
            registry_runs,
            running,
            ranges,
            folders: vec![folder],
            signer: authority.signer,
            member,
        }
    }

    /// From now on both registries and their token servers refuse connections. Waits until fetched objects are on the
    /// disk.
    pub(super) async fn stop_registry(&self) {
        eventually("all is sealed", || self.state.0.fetches.are_over()).await;
        self.registry_runs.drain(Duration::ZERO).await;
    }

    /// The recent pulls, newest first.
    pub(super) fn pulls(&self) -> Vec<Pull> {
        self.state.pulls().newest(usize::MAX, |_| true)
    }

    /// The metrics as scraped.
    pub(super) fn counted(&self) -> String {
        scraped(&self.state.0.metrics, &self.store)
    }

    pub(super) fn results(&self) -> Vec<(PullResult, u16)> {
        let pulls = self.pulls();
        pulls
            .iter()
            .rev()
            .map(|pulled| (pulled.result, pulled.status))
            .collect()
    }

    /// Restarts the peer, which loses its memory. Waits until pulled objects are sealed.
    pub(super) async fn restart_front(&mut self) {
        while self.store.totals().partial_objects > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.serve_anew().await;
    }

    /// Holds back ranges of unproven objects, for at most this time.
    pub(super) async fn hold_ranges_back(&mut self, proof_limit: Duration) {
        self.ranges = RangeRules {
            unproven: UnprovenRanges::HeldBack,
            proof_limit,
            ..self.ranges
        };
        self.serve_anew().await;
    }

    async fn serve_anew(&mut self) {
        let now = &self.now;
        self.state = front_state(
            &self.store,
            &self.member,
            &self.neighbours,
            &self.running,
            now,
            self.ranges,
        );
        self.front = serve(router(self.state.clone(), &Metrics::new()), &self.running).await;
    }

    pub(super) fn let_time_pass(&self, time: Duration) {
        self.now
            .fetch_add(i64::try_from(time.as_millis()).expect("fits"), Ordering::SeqCst);
    }

    /// A repository of the registry, as the front names it.
    pub(super) fn location(&self, repository: &str) -> Location {
        let location = format!("http://{}/v2/{repository}", self.registry_name);
        location.parse().expect("a location")
    }

    /// The front's time in Unix milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// The store holds the manager's record that anybody may read the object in this repository, found now.
    pub(super) fn say_public(&self, store: &Store, digest: &Digest, repository: &str) {
        let (location, now) = (self.location(repository), self.now());
        let proof = self.signer.public(digest, &location, now);
        store.record_public(digest, &location, now, &proof);
    }

    /// What `v1` meant in this repository.
    pub(super) fn meant(&self, repository: &str, digest: &Digest, seen_unix_ms: i64) -> TagRecord {
        TagRecord {
            location: self.location(repository).to_string(),
            tag: "v1".to_owned(),
            digest: digest.to_string(),
            media_type: String::new(),
            seen_unix_ms,
        }
    }

    /// A seed with an empty store, which the front knows.
    pub(super) async fn add_seed(&mut self) -> Store {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let state = ShareState::new(store.clone(), unlimited(), &PeerMetrics::default());
        let address = serve(shown_to_a_peer(state), &self.running).await;
        self.learn_seed(address);
        self.folders.push(folder);
        store
    }

    /// A seed that accepts connections and sends nothing, until the listener is dropped.
    pub(super) async fn add_silent_seed(&mut self) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        self.learn_seed(listener.local_addr().expect("an address"));
        listener
    }

    fn learn_seed(&self, address: SocketAddr) {
        let mut seeds = self.neighbours.seeds();
        seeds.push(SeedAddress {
            peer: Uuid::new_v4(),
            name: "seed".to_owned(),
            share_url: format!("http://{address}"),
        });
        self.neighbours.learn(Neighbourhood {
            seeds,
            ..Neighbourhood::default()
        });
    }

    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request_at(&self.registry_name, method, path)
    }

    pub(super) fn request_at(&self, registry: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.front))
            .query(&[("ns", registry)])
            .header("accept", ACCEPT)
    }

    /// A request that names no registry beside its path.
    pub(super) fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.front))
    }

    /// Returns the registry's name as podman writes it in a path.
    pub(super) fn in_path(registry: &str) -> String {
        registry.replace(':', "__")
    }

    pub(super) async fn send(&self, request: reqwest::RequestBuilder) -> FrontResponse {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        FrontResponse {
            status,
            headers,
            body: response.bytes().await.ok(),
        }
    }

    pub(super) async fn get(&self, path: &str, authorization: Option<&str>) -> FrontResponse {
        self.ask(Method::GET, path, authorization).await
    }

    pub(super) async fn head(&self, path: &str, authorization: Option<&str>) -> FrontResponse {
        self.ask(Method::HEAD, path, authorization).await
    }

    async fn ask(&self, method: Method, path: &str, authorization: Option<&str>) -> FrontResponse {
        let mut request = self.request(method, path);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        self.send(request).await
    }

    /// Pulls like containerd: HEAD of the tag, then index, manifest, config and layer by digest. Stops at the first
    /// failure.
    pub(super) async fn pull(
        &self,
        repository: &str,
        image: &Image,
        authorization: Option<&str>,
    ) -> StatusCode {
        let head = self
            .head(&format!("/v2/{repository}/manifests/v1"), authorization)
            .await;
        if !head.status.is_success() {
            return head.status;
        }
        assert_eq!(head.header("docker-content-digest"), image.index.as_str());
        self.pull_by_digest(repository, image, authorization).await
    }

    pub(super) async fn pull_by_digest(
        &self,
        repository: &str,
        image: &Image,
        authorization: Option<&str>,
    ) -> StatusCode {
        for (kind, digest) in [
            ("manifests", &image.index),
            ("manifests", &image.manifest),
            ("blobs", &image.config),
            ("blobs", &image.layer),
        ] {
            let got = self
                .get(&format!("/v2/{repository}/{kind}/{digest}"), authorization)
                .await;
            if !got.status.is_success() {
                return got.status;
            }
            assert_eq!(Digest::of(&got.body.expect("a whole body")), *digest);
        }
        StatusCode::OK
    }

    /// Signs in like containerd, and returns the `Authorization`.
    pub(super) async fn sign_in(
        &self,
        challenge: &str,
        account: Option<(&str, &str)>,
    ) -> Result<String, StatusCode> {
        let challenges = parse(challenge);
        let [
            Challenge::Bearer {
                realm,
                service,
                scope,
            },
        ] = challenges.as_slice()
        else {
            panic!("{challenge:?} is no Bearer challenge");
        };
        assert!(
            realm.starts_with(&format!("http://{}/stoker/token?", self.front)),
            "{realm}"
        );
        let service = service.clone().unwrap_or_default();
        let scope = scope.clone().unwrap_or_default();
        let mut fields = vec![("service", service.as_str()), ("scope", scope.as_str())];
        let Some((user, password)) = account else {
            return Self::token_of(self.http.get(realm).query(&fields)).await;
        };
        fields.extend([
            ("grant_type", "password"),
            ("client_id", "containerd-client"),
            ("username", user),
            ("password", password),
        ]);
        self.exchange(challenge, &fields).await
    }

    /// Posts this form to the realm of a Bearer challenge.
    pub(super) async fn exchange(
        &self,
        challenge: &str,
        form: &[(&str, &str)],
    ) -> Result<String, StatusCode> {
        let challenges = parse(challenge);
        let [Challenge::Bearer { realm, .. }] = challenges.as_slice() else {
            panic!("{challenge:?} is no Bearer challenge");
        };
        Self::token_of(self.http.post(realm).form(form)).await
    }

    async fn token_of(request: reqwest::RequestBuilder) -> Result<String, StatusCode> {
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let body: serde_json::Value = response.json().await.unwrap_or_default();
        body["token"]
            .as_str()
            .map(|token| format!("Bearer {token}"))
            .ok_or(status)
    }

    /// The whole sequence of containerd: request without a credential, challenge, sign-in, request.
    pub(super) async fn bearer(
        &self,
        repository: &str,
        account: Option<(&str, &str)>,
    ) -> Result<String, StatusCode> {
        self.bearer_at(&self.registry_name, repository, account).await
    }

    pub(super) async fn bearer_at(
        &self,
        registry: &str,
        repository: &str,
        account: Option<(&str, &str)>,
    ) -> Result<String, StatusCode> {
        let path = format!("/v2/{repository}/manifests/v1");
        let challenged = self.send(self.request_at(registry, Method::HEAD, &path)).await;
        assert_eq!(challenged.status, StatusCode::UNAUTHORIZED);
        self.sign_in(challenged.challenge(), account).await
    }
}

fn front_state(
    store: &Store,
    member: &JoinedPeer,
    neighbours: &Neighbours,
    running: &Running,
    now: &Arc<AtomicI64>,
    ranges: RangeRules,
) -> FrontState {
    let sources = Sources::new(
        client(&ClientOptions::default()).expect("a client"),
        neighbours.clone(),
        unlimited(),
    );
    let fetches = Fetches::new(store.clone(), sources, running.clone(), PeerMetrics::default());
    let now = now.clone();
    let limits = FrontLimits::default();
    let clock = move || now.load(Ordering::SeqCst);
    let peers = fetches.peers().clone();
    let registries = neighbours.registries().clone();
    let records = Records::new(member.membership.clone(), store.clone(), registries);
    let access = Access::new(
        (store.clone(), records),
        neighbours.clone(),
        peers,
        limits,
        [7; 32],
        running.clone(),
        clock.clone(),
    );
    let delivery = Delivery::new(store.clone(), fetches.sources().clone(), &[7; 32]);
    FrontState::new(
        access,
        delivery,
        store.clone(),
        fetches,
        neighbours.clone(),
        ranges,
        clock,
    )
}

pub(super) async fn serve(router: Router, running: &Running) -> SocketAddr {
    let listener = process::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    process::serve(listener, router, running, None).expect("served");
    address
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

pub(super) fn node_credential() -> Credential {
    Credential::Basic {
        username: "ann".to_owned(),
        password: Secret::new("pw-ann"),
    }
}
