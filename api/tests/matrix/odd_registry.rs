//! A registry whose behaviour depends on the repository: the name of a [`Cell`] is its repository.
//!
//! **Invariant:** what it sends is what [`Contents`] says, and each repository follows its cell alone. The storage behind
//! it is another origin, accepts GET without a credential, and refuses HEAD.
//!
//! A real registry cannot be made to behave in all of these ways.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION,
    RANGE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cell::{Body, Cell, Head, SignIn};
use crate::contents::{Contents, Object};

pub(crate) const USER: &str = "matrix";
pub(crate) const PASSWORD: &str = "a word that nobody guesses";

/// Bytes after which a body that breaks off does so.
pub(crate) const CUT_AFTER: usize = 700_000;
/// Requests that a token of [`SignIn::ForbiddenOnExpiry`] is good for.
const TOKEN_USES: u32 = 10;

/// Serves until it is dropped.
pub(crate) struct OddRegistry {
    host: String,
    state: Arc<RegistryState>,
    _serving: JoinSet<()>,
}

struct RegistryState {
    host: String,
    storage: String,
    memory: Mutex<RegistryMemory>,
}

#[derive(Default)]
struct RegistryMemory {
    contents: HashMap<String, Arc<Contents>>,
    /// The repository of each token, and how often it was used.
    tokens: HashMap<String, (String, u32)>,
}

impl OddRegistry {
    pub(crate) async fn start() -> Self {
        let (front, storage) = (listener().await, listener().await);
        let host = address(&front);
        let state = Arc::new(RegistryState {
            host: host.clone(),
            storage: address(&storage),
            memory: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        serving.spawn(async move { axum::serve(front, router).await.unwrap_or_default() });
        let router = Router::new()
            .fallback(from_storage)
            .with_state(Arc::clone(&state));
        serving.spawn(async move { axum::serve(storage, router).await.unwrap_or_default() });
        Self {
            host,
            state,
            _serving: serving,
        }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn contents(&self, cell: Cell) -> Arc<Contents> {
        self.state.contents(&cell.to_string(), cell)
    }

    /// Frees the memory of a repository.
    pub(crate) fn forget(&self, cell: Cell) {
        self.state.memory().contents.remove(&cell.to_string());
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port")
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().expect("an address").to_string()
}

impl RegistryState {
    fn memory(&self) -> MutexGuard<'_, RegistryMemory> {
        self.memory.lock().expect("nobody panics while holding it")
    }

    fn contents(&self, repository: &str, cell: Cell) -> Arc<Contents> {
        if let Some(contents) = self.memory().contents.get(repository) {
            return Arc::clone(contents);
        }
        let made = Arc::new(Contents::of(cell));
        Arc::clone(
            self.memory()
                .contents
                .entry(repository.to_owned())
                .or_insert(made),
        )
    }

    fn new_token(&self, repository: &str) -> String {
        let mut memory = self.memory();
        let token = format!("token-{}", memory.tokens.len());
        memory.tokens.insert(token.clone(), (repository.to_owned(), 0));
        token
    }

    /// Counts one use of a token. Returns whether it is for this repository, and how often it was used.
    fn use_token(&self, token: &str, repository: &str) -> Option<u32> {
        let mut memory = self.memory();
        let (owner, uses) = memory.tokens.get_mut(token)?;
        *uses += 1;
        (owner == repository).then_some(*uses)
    }
}

/// What a path names.
struct Wanted<'path> {
    repository: &'path str,
    cell: Cell,
    is_manifest: bool,
    reference: &'path str,
}

impl<'path> Wanted<'path> {
    fn of(path: &'path str) -> Option<Self> {
        let (path, is_manifest) = match path.rsplit_once("/manifests/") {
            Some(both) => (both, true),
            None => (path.rsplit_once("/blobs/")?, false),
        };
        Some(Self {
            repository: path.0,
            cell: Cell::of_repository(path.0)?,
            is_manifest,
            reference: path.1,
        })
    }

    fn find<'contents>(&self, contents: &'contents Contents) -> Option<&'contents Object> {
        if self.is_manifest && self.reference == "v1" {
            return Some(contents.root());
        }
        let among = if self.is_manifest {
            &contents.manifests
        } else {
            &contents.blobs
        };
        among.iter().find(|object| object.digest == self.reference)
    }
}

async fn answer(State(registry): State<Arc<RegistryState>>, request: Request) -> Response {
    let path = request.uri().path();
    if path == "/token" {
        let query = Query::try_from_uri(request.uri()).unwrap_or_default();
        return token(&registry, &query, request.headers());
    }
    if path == "/v2/" {
        return StatusCode::OK.into_response();
    }
    let Some(wanted) = path.strip_prefix("/v2/").and_then(Wanted::of) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(refusal) = refusal(&registry, &wanted, request.headers()) {
        return refusal;
    }
    let contents = registry.contents(wanted.repository, wanted.cell);
    match wanted.find(&contents) {
        Some(object) if request.method() == Method::HEAD => head(&registry, wanted.cell, object),
        Some(object) if wanted.cell.head == Head::Redirect => to_storage(&registry, wanted.cell, object),
        Some(object) => get(wanted.cell.body, object, request.headers()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The storage's URLs are signed for GET, and a credential beside the signature is a fault, as with S3.
async fn from_storage(State(registry): State<Arc<RegistryState>>, request: Request) -> Response {
    let wanted = request.uri().path().strip_prefix("/signed/").and_then(|path| {
        let (repository, digest) = path.rsplit_once('/')?;
        Some((Cell::of_repository(repository)?, repository, digest))
    });
    let Some((cell, repository, digest)) = wanted else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if request.headers().contains_key(AUTHORIZATION) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if request.method() != Method::GET {
        return StatusCode::FORBIDDEN.into_response();
    }
    let contents = registry.contents(repository, cell);
    let mut objects = contents.manifests.iter().chain(&contents.blobs);
    match objects.find(|object| object.digest == digest) {
        Some(object) => get(cell.body, object, request.headers()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn refusal(registry: &RegistryState, wanted: &Wanted<'_>, headers: &HeaderMap) -> Option<Response> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    let uses = token.and_then(|token| registry.use_token(token, wanted.repository));
    match (wanted.cell.sign_in, uses) {
        (SignIn::Nothing, _) | (SignIn::Bearer, Some(_)) => None,
        (SignIn::Basic, _) if is_ours(authorization) => None,
        (SignIn::Basic, _) => Some(challenge("Basic realm=\"matrix\"")),
        (SignIn::ForbiddenOnExpiry, Some(uses)) if uses <= TOKEN_USES => None,
        (SignIn::ForbiddenOnExpiry, Some(_)) => Some(StatusCode::FORBIDDEN.into_response()),
        (SignIn::Bearer | SignIn::ForbiddenOnExpiry, None) => Some(challenge(&format!(
            "Bearer realm=\"http://{}/token\",service=\"matrix\",scope=\"repository:{}:pull\"",
            registry.host, wanted.repository
        ))),
    }
}

fn challenge(text: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, text)]).into_response()
}

fn is_ours(authorization: Option<&str>) -> bool {
    authorization
        == Some(&format!(
            "Basic {}",
            STANDARD.encode(format!("{USER}:{PASSWORD}"))
        ))
}

fn token(registry: &RegistryState, query: &HashMap<String, String>, headers: &HeaderMap) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let repository = query
        .get("scope")
        .and_then(|scope| scope.strip_prefix("repository:")?.strip_suffix(":pull"));
    match repository {
        Some(repository) if is_ours(authorization) => {
            let token = registry.new_token(repository);
            axum::Json(json!({"token": token, "expires_in": 300})).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn head(registry: &RegistryState, cell: Cell, object: &Object) -> Response {
    let status = match cell.head {
        Head::NotFound => StatusCode::NOT_FOUND,
        Head::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Head::Forbidden => StatusCode::FORBIDDEN,
        Head::Redirect => return to_storage(registry, cell, object),
        Head::Ok | Head::LengthZero => StatusCode::OK,
    };
    if status != StatusCode::OK {
        return status.into_response();
    }
    let mut response = described(cell.body, object, HttpBody::from_stream(no_bytes()));
    let length = if cell.head == Head::LengthZero {
        0
    } else {
        object.bytes.len()
    };
    if cell.body != Body::Chunked || cell.head == Head::LengthZero {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn no_bytes() -> stream::Empty<Result<Bytes, Infallible>> {
    stream::empty()
}

fn to_storage(registry: &RegistryState, cell: Cell, object: &Object) -> Response {
    let location = format!("http://{}/signed/{cell}/{}", registry.storage, object.digest);
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
}

fn get(body: Body, object: &Object, headers: &HeaderMap) -> Response {
    let size = object.bytes.len();
    let range = headers.get(RANGE).and_then(|value| range(value, size));
    let (status, bytes) = match range.clone() {
        Some(range) if range.is_empty() => return StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        Some(range) => (
            StatusCode::PARTIAL_CONTENT,
            object.bytes.get(range).unwrap_or_default(),
        ),
        None => (StatusCode::OK, object.bytes.as_slice()),
    };
    let mut response = described(body, object, sent(body, bytes));
    *response.status_mut() = status;
    if body != Body::Chunked {
        response.headers_mut().insert(CONTENT_LENGTH, bytes.len().into());
    }
    if let Some(range) = range {
        let place = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response
            .headers_mut()
            .insert(CONTENT_RANGE, place.parse().expect("a header"));
    }
    response
}

fn described(body: Body, object: &Object, content: HttpBody) -> Response {
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(object.media_type));
    headers.insert("Docker-Content-Digest", object.digest.parse().expect("a header"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if body == Body::Labelled {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aws-chunked"));
    }
    response
}

fn sent(body: Body, bytes: &[u8]) -> HttpBody {
    let whole = Bytes::copy_from_slice(bytes);
    match body {
        Body::Cut if whole.len() > CUT_AFTER => HttpBody::from_stream(stream::iter([
            Ok(whole.slice(..CUT_AFTER)),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ])),
        Body::Chunked => HttpBody::from_stream(stream::iter([Ok::<_, Infallible>(whole)])),
        Body::Cut | Body::Length | Body::Labelled => whole.into(),
    }
}

/// One range; an empty one cannot be satisfied.
fn range(value: &HeaderValue, size: usize) -> Option<Range<usize>> {
    let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let end = match last {
        "" => size,
        last => last.parse::<usize>().ok()?.saturating_add(1).min(size),
    };
    let start = match first {
        "" => return Some(size.saturating_sub(last.parse().ok()?)..size),
        first => first.parse::<usize>().ok()?,
    };
    Some(start.min(end)..end)
}
