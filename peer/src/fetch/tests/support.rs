//! A registry with configurable faults, peers with real stores behind a real `share`, and a peer that fetches.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use oci::{BuildError, Credential, Digest, Location, Registries, RegistryLimits, TlsOptions};
use parking_lot::Mutex;
use process::Running;
use process::http::{ClientOptions, client};
use store::{Sealed, Store, StoreLimits};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wire::{ObjectKind, Role};

use crate::fetch::{Extent, FetchError, FetchSpec, Fetches, Following, Sources};
use crate::limits::{self, Class};
use crate::membership::tests::Authority;
use crate::metrics::PeerMetrics;
use crate::neighbours::Surroundings;
use crate::share::{ShareState, router};
use crate::source::ShareClient;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// A reader of a file that gets nothing for this long waits for another event.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) type Reading = Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>;

/// No limits.
pub(crate) fn unlimited() -> limits::Limits {
    limits::Limits::none(Running::new())
}

/// Bytes that differ from chunk to chunk.
pub(crate) use store::testing::{bytes, seal};

pub(crate) fn with_byte_changed(bytes: &Bytes, at: u64) -> Bytes {
    let mut changed = bytes.to_vec();
    changed[usize::try_from(at).expect("fits")] ^= 1;
    changed.into()
}

/// A peer's surroundings.
#[derive(Clone)]
pub(crate) struct FakeSurroundings {
    registries: Registries,
    own_share: Option<String>,
    /// The location of the fixture's registry.
    location: Arc<OnceLock<Location>>,
}

impl FakeSurroundings {
    /// The location of all objects.
    pub(crate) fn location(&self) -> &Location {
        let unless_told = || {
            "http://registry.lan/v2/library/sample"
                .parse()
                .expect("a location")
        };
        self.location.get_or_init(unless_told)
    }

    /// The same, for a peer with this `share` URL.
    pub(crate) fn at(&self, share_url: &str) -> Self {
        let own_share = Some(share_url.to_owned());
        Self {
            own_share,
            ..self.clone()
        }
    }

    pub(crate) fn new() -> Self {
        process::install_tls_provider();
        let factory = |_: &TlsOptions| client(&ClientOptions::default()).map_err(BuildError::new);
        let limits = RegistryLimits {
            connection_wait: Duration::from_millis(100),
            ..RegistryLimits::default()
        };
        Self {
            registries: Registries::with_limits(Arc::new(factory), limits),
            own_share: None,
            location: Arc::default(),
        }
    }
}

impl Surroundings for FakeSurroundings {
    fn registries(&self) -> &Registries {
        &self.registries
    }

    fn own_share(&self) -> Option<String> {
        self.own_share.clone()
    }
}

/// How the registry serves one object.
#[derive(Clone, Default)]
pub(crate) struct Treat {
    pub(crate) bytes: Bytes,
    /// The size in its headers, if it is wrong.
    pub(crate) claims: Option<u64>,
    /// Offsets where transfers break off, one for each GET; with `always_cut` the first one counts for all.
    pub(crate) cuts: VecDeque<u64>,
    pub(crate) always_cut: bool,
    /// Sends neither a length nor a total.
    pub(crate) has_no_length: bool,
    /// Sends up to this offset, then waits.
    pub(crate) hold: Option<(u64, CancellationToken)>,
    /// The only `Authorization` that is accepted; others get 401 after `refusal_waits_for`.
    pub(crate) authorization: Option<&'static str>,
    pub(crate) refusal_waits_for: Option<CancellationToken>,
    pub(crate) media_type: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedRequest {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
}

#[derive(Clone, Default)]
pub(crate) struct FaultyRegistry {
    objects: Arc<Mutex<HashMap<String, Treat>>>,
    log: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl FaultyRegistry {
    pub(crate) fn put(&self, digest: &Digest, treat: Treat) {
        self.objects.lock().insert(digest.to_string(), treat);
    }

    pub(crate) fn serve(&self, bytes: &Bytes) -> Digest {
        let digest = Digest::of(bytes);
        self.put(
            &digest,
            Treat {
                bytes: bytes.clone(),
                ..Treat::default()
            },
        );
        digest
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.log.lock().clone()
    }

    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.requests().into_iter().map(|asked| asked.range).collect()
    }

    async fn answer(&self, path: String, headers: &HeaderMap) -> Response {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let range = text(RANGE);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.log.lock().push(RecordedRequest {
            path,
            range: range.clone(),
        });
        let (treat, cut) = {
            let mut objects = self.objects.lock();
            let Some(treat) = objects.get_mut(&name) else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let cut = if treat.always_cut {
                treat.cuts.front().copied()
            } else {
                treat.cuts.pop_front()
            };
            (treat.clone(), cut)
        };
        if treat
            .authorization
            .is_some_and(|only| text(AUTHORIZATION).as_deref() != Some(only))
        {
            if let Some(wait) = &treat.refusal_waits_for {
                wait.cancelled().await;
            }
            let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"fake\"")];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        let first = range.and_then(|range| {
            let (first, _) = range.strip_prefix("bytes=")?.split_once('-')?;
            first.parse::<u64>().ok()
        });
        send(&treat, first, cut)
    }
}

fn send(treat: &Treat, first: Option<u64>, cut: Option<u64>) -> Response {
    let size = treat.bytes.len() as u64;
    let from = first.unwrap_or(0);
    if from > 0 && from >= size {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let end = cut.unwrap_or(size).max(from).min(size);
    let parts: Vec<(u64, Bytes)> = (from..end)
        .step_by(50_000)
        .map(|at| {
            (
                at,
                treat.bytes.slice(at as usize..(at + 50_000).min(end) as usize),
            )
        })
        .collect();
    let hold = treat.hold.clone();
    let sending = stream::iter(parts).then(move |(at, part)| {
        let hold = hold.clone();
        async move {
            if let Some((_, token)) = hold.filter(|(offset, _)| at + part.len() as u64 > *offset) {
                token.cancelled().await;
            }
            Ok::<_, std::io::Error>(part)
        }
    });
    let broken = stream::iter(cut).then(async |_| {
        // Otherwise the server may drop what it has not written yet.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut"))
    });
    let body = Body::from_stream(sending.chain(broken));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let claimed = treat.claims.unwrap_or(size);
    if !treat.has_no_length {
        headers.insert(CONTENT_LENGTH, (claimed - from).into());
    }
    let media_type = treat.media_type.unwrap_or("application/octet-stream");
    headers.insert(CONTENT_TYPE, media_type.parse().expect("a header"));
    if first.is_some() {
        headers.insert(
            CONTENT_RANGE,
            format!("bytes {from}-{}/{claimed}", claimed - 1)
                .parse()
                .expect("a header"),
        );
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

async fn object(
    State(registry): State<FaultyRegistry>,
    Path(path): Path<String>,
    _: Method,
    headers: HeaderMap,
) -> Response {
    registry.answer(path, &headers).await
}

/// Serves on a new port. Returns the address.
pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    Running::new().spawn(async move { axum::serve(listener, app).await });
    address
}

/// The same on an open port.
pub(crate) fn serve_on(listener: std::net::TcpListener, app: Router) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    Running::new().spawn(async move { axum::serve(listener, app).await });
}

/// The routes of `share` with their guard, as a peer of the cluster sees them.
pub(crate) fn shown_to_a_peer(state: ShareState) -> Router {
    let authority = Authority::new();
    let ours = authority.member(Role::Seed, "default");
    let caller = authority.member(Role::Node, "default");
    router(state, ours.membership, &process::metrics::Metrics::new()).layer(Extension(caller.shown()))
}

/// Another peer: a real store behind a real `share`.
pub(crate) struct Parent {
    pub(crate) store: Store,
    pub(crate) url: String,
    _dir: TempDir,
}

impl Parent {
    pub(crate) async fn holding(around: &FakeSurroundings, objects: &[&Bytes]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("a store");
        for object in objects {
            let sealed = seal(&store, object).await;
            store.record_delivered(&sealed.digest, around.location());
        }
        let state = ShareState::new(store.clone(), unlimited(), &PeerMetrics::default());
        let address = serve(shown_to_a_peer(state)).await;
        Self {
            store,
            url: format!("http://{address}"),
            _dir: dir,
        }
    }

    pub(crate) fn file(&self, digest: &Digest) -> PathBuf {
        self.store.sealed(digest).expect("held").path().to_owned()
    }
}

/// Makes the store serve `wrong` for `body`, with matching chunk hashes: only the sha256 of the whole shows it.
pub(crate) async fn lies_of(store: &Store, body: &Bytes, wrong: &Bytes) {
    let (said, given) = (seal(store, body).await, seal(store, wrong).await);
    if said.digest == given.digest {
        return;
    }
    for extension in ["", "chunks"] {
        let of = |sealed: &Sealed| sealed.path().with_extension(extension);
        std::fs::copy(of(&given), of(&said)).expect("altered");
    }
}

/// The peer under test and its registry.
pub(crate) struct FetchFixture {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) fetches: Fetches,
    pub(crate) registry: FaultyRegistry,
    pub(crate) around: FakeSurroundings,
    pub(crate) running: Running,
}

impl FetchFixture {
    pub(crate) async fn new() -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder")).await
    }

    pub(crate) async fn in_folder(dir: TempDir) -> Self {
        Self::in_folder_with(dir, StoreLimits::default()).await
    }

    pub(crate) async fn with_quota(bytes: u64) -> Self {
        let limits = StoreLimits {
            quota: Some(bytes),
            ..StoreLimits::default()
        };
        Self::in_folder_with(tempfile::tempdir().expect("a folder"), limits).await
    }

    async fn in_folder_with(dir: TempDir, limits: StoreLimits) -> Self {
        let around = FakeSurroundings::new();
        let registry = FaultyRegistry::default();
        let app = Router::new()
            .route("/v2/{*path}", get(object))
            .with_state(registry.clone());
        let registry_address = serve(app).await;
        let location = format!("http://{registry_address}/v2/library/sample");
        let location = around.location.set(location.parse().expect("a location"));
        location.expect("one registry");
        let clock = Box::new(process::clock::unix_ms);
        let store = Store::open_with(dir.path(), limits, clock).expect("a store");
        let http = client(&ClientOptions::default()).expect("a client");
        let running = Running::new();
        let fetches = Fetches::new(
            store.clone(),
            Sources::new(http, around.clone(), unlimited()),
            running.clone(),
            PeerMetrics::default(),
        );
        Self {
            dir,
            store,
            fetches,
            registry,
            around,
            running,
        }
    }

    pub(crate) fn share_client(&self) -> &ShareClient {
        self.fetches.peers()
    }

    pub(crate) fn wanted(&self, digest: &Digest) -> FetchSpec {
        FetchSpec {
            digest: digest.clone(),
            kind: ObjectKind::Blob,
            size: None,
            size_hint: None,
            media_type: None,
            location: self.around.location().clone(),
            credential: Credential::Anonymous,
            parents: Vec::new(),
            relays: Vec::new(),
            registry_allowed: true,
            extent: Extent::Whole,
            class: Class::Interactive,
            trace: None,
        }
    }

    pub(crate) fn fetch(&self, digest: &Digest) -> Following {
        self.fetches.join_or_start(self.wanted(digest))
    }
}

/// Reads the whole object. Returns the bytes and how it ended.
pub(crate) async fn read_all(following: &Following) -> (Vec<u8>, Result<(), FetchError>) {
    let reading = async {
        let mut got = Vec::new();
        let mut stream = Box::pin(following.read(0..u64::MAX));
        loop {
            match stream.try_next().await {
                Ok(Some(part)) => got.extend_from_slice(&part),
                Ok(None) => return (got, Ok(())),
                Err(error) => return (got, Err(error)),
            }
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("within the limit")
}

/// Reads until nothing has come for a while.
pub(crate) async fn read_what_comes(reading: &mut Reading) -> Vec<u8> {
    let mut got = Vec::new();
    while let Ok(Some(Ok(part))) = tokio::time::timeout(QUIET, reading.next()).await {
        got.extend_from_slice(&part);
    }
    got
}

/// Waits until `holds` is true, up to a limit.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
