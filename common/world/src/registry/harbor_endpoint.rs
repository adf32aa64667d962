//! The registry side of a Harbor, as measured on Harbor 2.15.
//!
//! **Invariant:** refusals have Harbor's text, and [`HarborEndpoint::requests`] has every request. The two projects
//! differ only in that one is public. Its clock can be moved forward.
//!
//! Non-goal: pushes as docker does them. Tests add objects directly.

mod answer;
mod tokens;

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{PASSWORD, USER, token_server};
use crate::image::Kind;
use crate::{Image, Port};

/// One request and the status of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarborRequest {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: Option<String>,
    pub accept: Option<String>,
    pub cookie: Option<String>,
    pub range: Option<String>,
    pub status: u16,
}

/// A served manifest GET, which the project's log records as a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarborPull {
    pub user: String,
    pub repository: String,
}

pub(crate) struct Manifest {
    media_type: String,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct HarborContents {
    public: HashSet<String>,
    /// By `repository@digest` and `repository:tag`.
    manifests: HashMap<String, Manifest>,
    blobs: HashMap<String, Vec<u8>>,
    /// Repositories whose images are too vulnerable to be pulled.
    barred: HashSet<String>,
    /// How far its clock is moved forward.
    ahead: Duration,
    requests: Vec<HarborRequest>,
    pulls: Vec<HarborPull>,
    answered: u64,
}

pub(crate) struct HarborEndpointState {
    host: String,
    signer: tokens::HarborSigner,
    state: Mutex<HarborContents>,
}

impl HarborEndpointState {
    fn state(&self) -> MutexGuard<'_, HarborContents> {
        self.state.lock()
    }

    fn now(&self) -> u64 {
        crate::clock::now() + self.state().ahead.as_secs()
    }
}

/// Answers on a thread of its own until it is dropped. [`USER`] with [`PASSWORD`] may read every project.
pub struct HarborEndpoint {
    port: Port,
    desk: Arc<HarborEndpointState>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl HarborEndpoint {
    pub fn start() -> Self {
        let port = Port::free();
        let desk = Arc::new(HarborEndpointState {
            host: port.to_string(),
            signer: tokens::HarborSigner::new(),
            state: Mutex::default(),
        });
        let listener = TcpListener::bind(port.address()).expect("the endpoint's port");
        let token = CancellationToken::new();
        let (router, until) = (Router::new().fallback(answer::answer), token.clone());
        let router = router.with_state(Arc::clone(&desk));
        let thread = std::thread::spawn(move || token_server::serve(listener, router, &until));
        Self {
            port,
            desk,
            running: Some((token, thread)),
        }
    }

    /// `127.0.0.1:PORT`: its name in image references. Plain HTTP.
    pub fn host(&self) -> String {
        self.port.to_string()
    }

    /// Returns the URL with which Harbor names an image.
    pub fn manifest_url(&self, repository: &str, reference: &str) -> String {
        format!("http://{}/v2/{repository}/manifests/{reference}", self.port)
    }

    /// Makes a project public: everyone may read it with a token.
    pub fn make_public(&self, project: &str) {
        self.desk.state().public.insert(project.to_owned());
    }

    /// Adds a manifest and returns its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let mut state = self.desk.state();
        for name in [format!("{repository}@{digest}"), format!("{repository}:{tag}")] {
            let manifest = Manifest {
                media_type: media_type.to_owned(),
                bytes: bytes.to_vec(),
            };
            state.manifests.insert(name, manifest);
        }
        digest
    }

    /// Adds a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let name = format!("{repository}@{digest}");
        self.desk.state().blobs.insert(name, bytes.to_vec());
        digest
    }

    /// Adds a whole image.
    pub fn put(&self, image: &Image, repository: &str, tag: &str) {
        for object in image.objects() {
            let bytes = image.bytes(&object.digest);
            match object.kind {
                Kind::Config | Kind::Layer => {
                    self.put_blob(repository, &bytes);
                }
                Kind::Index | Kind::Manifest => {
                    let tag = if object == image.root() { tag } else { "" };
                    self.put_manifest(repository, tag, object.media_type, &bytes);
                }
            }
        }
    }

    /// Removes a blob that manifests still list.
    pub fn lose(&self, repository: &str, digest: &str) {
        self.desk.state().blobs.remove(&format!("{repository}@{digest}"));
    }

    /// Makes the images of this repository violate the project's policy: their pulls get 412.
    pub fn bar(&self, repository: &str) {
        self.desk.state().barred.insert(repository.to_owned());
    }

    /// Moves its clock forward.
    pub fn time_passes(&self, by: Duration) {
        self.desk.state().ahead += by;
    }

    /// Returns the `Authorization` of a preheat of this repository; valid for 30 minutes.
    pub fn preheat_authorization(&self, repository: &str) -> String {
        let now = self.desk.now();
        format!("Bearer {}", self.desk.signer.sign("distributor", repository, now))
    }

    pub fn requests(&self) -> Vec<HarborRequest> {
        self.desk.state().requests.clone()
    }

    pub fn forget_requests(&self) {
        self.desk.state().requests.clear();
    }

    /// Returns the pulls, from which Harbor makes its counts, retention and audit log.
    pub fn pulls(&self) -> Vec<HarborPull> {
        self.desk.state().pulls.clone()
    }

    /// [`USER`] and [`PASSWORD`].
    pub fn account() -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }
}

impl Drop for HarborEndpoint {
    fn drop(&mut self) {
        if let Some((token, thread)) = self.running.take() {
            token.cancel();
            // The thread has already printed its panic.
            let _ = thread.join();
        }
    }
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
