//! One private image behind Harbor's ready-made token; knows just enough of the registry API for resolving.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use oci::{Digest, RegistrySettings};
use process::Running;
use serde_json::json;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[derive(Clone)]
pub(crate) struct OneImage {
    token: String,
    manifest: String,
    /// The `Authorization` of every request.
    pub(crate) asked: Arc<Mutex<Vec<Option<String>>>>,
}

pub(crate) struct RegistryAt {
    pub(crate) settings: RegistrySettings,
    pub(crate) image: OneImage,
    running: Running,
}

impl RegistryAt {
    /// Of the image's manifest.
    pub(crate) fn digest(&self) -> String {
        Digest::of(self.image.manifest.as_bytes()).to_string()
    }
}

impl Drop for RegistryAt {
    fn drop(&mut self) {
        self.running.stopping().cancel();
    }
}

/// Starts it; Harbor's recorded address is an alias of where it really is.
pub(crate) async fn start(token: &str) -> RegistryAt {
    let (config, layer) = (Digest::of(b"config"), Digest::of(b"layer"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": 6},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.as_str(), "size": 5}],
    });
    let image = OneImage {
        token: token.to_owned(),
        manifest: manifest.to_string(),
        asked: Arc::default(),
    };
    let router = Router::new()
        .route("/v2/{project}/{name}/manifests/{wanted}", get(answer))
        .with_state(image.clone());
    let listener = process::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let running = Running::new();
    process::serve(listener, router, &running, None).expect("served");
    let mut settings = RegistrySettings::new(address.to_string().parse().expect("a name"));
    settings.plain_http = true;
    settings.aliases = vec!["10.88.0.2:8080".parse().expect("a name")];
    RegistryAt {
        settings,
        image,
        running,
    }
}

async fn answer(
    State(image): State<OneImage>,
    Path((_, _, wanted)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    image.asked.lock().expect("not poisoned").push(given.clone());
    let digest = Digest::of(image.manifest.as_bytes());
    match given {
        None => {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"harbor\"")];
            (StatusCode::UNAUTHORIZED, challenge).into_response()
        }
        Some(token) if token != image.token => StatusCode::FORBIDDEN.into_response(),
        Some(_) if wanted == "v1" || wanted == digest.as_str() => {
            ([(header::CONTENT_TYPE, MANIFEST)], image.manifest).into_response()
        }
        Some(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
