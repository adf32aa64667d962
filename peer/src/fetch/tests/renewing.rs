//! A token or a signed address that expires during a transfer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, HOST, LOCATION, RANGE, WWW_AUTHENTICATE};
use oci::{Credential, Digest, Secret};
use parking_lot::{Mutex, MutexGuard};
use store::CHUNK;

use super::support::{FetchFixture, bytes, read_all, serve};
use crate::fetch::FetchSpec;

/// Bytes after which the first transfer breaks off and its token or address expires.
const ENDS_AT: u64 = 2 * CHUNK;

#[derive(Clone)]
struct Server(Arc<Mutex<Now>>);

struct Now {
    body: Bytes,
    /// Redirects to an address at `storage`.
    storage: Option<String>,
    wants_token: bool,
    /// Tokens and signed addresses are numbered; only the newest one is accepted.
    newest: u32,
    transfers: u32,
    /// The `Range` values that were answered with bytes.
    ranges: Vec<String>,
    authorized_at_storage: bool,
}

impl Server {
    fn new(body: &Bytes, wants_token: bool) -> Self {
        Self(Arc::new(Mutex::new(Now {
            body: body.clone(),
            storage: None,
            wants_token,
            newest: 0,
            transfers: 0,
            ranges: Vec::new(),
            authorized_at_storage: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.lock()
    }

    async fn start(&self) -> String {
        serve(Router::new().fallback(answer).with_state(self.clone())).await
    }

    fn wanted(&self, world: &FetchFixture, address: &str) -> FetchSpec {
        let digest = Digest::of(&self.lock().body);
        FetchSpec {
            location: format!("http://{address}/v2/library/sample")
                .parse()
                .expect("a location"),
            credential: Credential::Basic {
                username: "ann".to_owned(),
                password: Secret::new("pw"),
            },
            ..world.wanted(&digest)
        }
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let header = |name| {
        let value = request.headers().get(name);
        value
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (path, host) = (request.uri().path().to_owned(), header(HOST));
    let mut state = server.lock();
    if path == "/token" {
        state.newest += 1;
        let token = format!("t{}", state.newest);
        return axum::Json(serde_json::json!({ "token": token, "expires_in": 300 })).into_response();
    }
    if let Some(number) = path.strip_prefix("/signed/") {
        state.authorized_at_storage |= !header(AUTHORIZATION).is_empty();
        if number != state.newest.to_string() {
            return (StatusCode::FORBIDDEN, "<Error>Request has expired</Error>").into_response();
        }
        return state.send(&header(RANGE));
    }
    let token = format!("Bearer t{}", state.newest);
    if state.wants_token && (state.newest == 0 || header(AUTHORIZATION) != token) {
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    }
    if let Some(storage) = state.storage.clone() {
        state.newest += 1;
        let place = format!("http://{storage}/signed/{}", state.newest);
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, place)]).into_response();
    }
    state.send(&header(RANGE))
}

impl Now {
    /// The first transfer breaks off, and its token or address expires.
    fn send(&mut self, range: &str) -> Response {
        self.transfers += 1;
        self.ranges.push(range.to_owned());
        let size = self.body.len();
        let from = range
            .strip_prefix("bytes=")
            .and_then(|range| range.strip_suffix('-'));
        let from: usize = from.map_or(0, |from| from.parse().expect("a number"));
        let is_first = self.transfers == 1;
        let end = if is_first { ENDS_AT as usize } else { size };
        let cut = is_first.then(|| Err(std::io::Error::other("cut")));
        if is_first {
            self.newest += 1;
        }
        let parts = std::iter::once(Ok(self.body.slice(from..end))).chain(cut);
        let mut response = Response::new(Body::from_stream(stream::iter(parts)));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, (size - from).into());
        if from > 0 {
            let range = format!("bytes {from}-{}/{size}", size - 1);
            response
                .headers_mut()
                .insert(CONTENT_RANGE, range.parse().expect("a header"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }
}

#[tokio::test]
async fn a_token_that_expires_during_a_transfer_is_renewed() {
    let (world, body) = (FetchFixture::new().await, bytes(4 * CHUNK));
    let registry = Server::new(&body, true);
    let wanted = registry.wanted(&world, &registry.start().await);
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let state = registry.lock();
    assert_eq!(
        state.ranges,
        [String::new(), format!("bytes={ENDS_AT}-{}", body.len() - 1)]
    );
}

#[tokio::test]
async fn an_expired_signed_address_is_renewed_and_gets_no_credential() {
    let (world, body) = (FetchFixture::new().await, bytes(4 * CHUNK));
    let registry = Server::new(&body, false);
    // The same on another port: what the registry signs is what the storage takes.
    let storage = registry.start().await;
    registry.lock().storage = Some(storage);
    let wanted = registry.wanted(&world, &registry.start().await);
    let following = world.fetches.join_or_start(wanted);
    assert_eq!(read_all(&following).await, (body.to_vec(), Ok(())));
    let state = registry.lock();
    assert_eq!(
        state.ranges,
        [String::new(), format!("bytes={ENDS_AT}-{}", body.len() - 1)]
    );
    assert!(!state.authorized_at_storage);
}
