//! The setup of the serving benchmarks: a registry that only sends (nginx over a tree of files), a manager, and
//! peers, all on this machine or each on one of its own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use world::nginx::Mover;
use world::{Host, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Nginx, NginxSpec, Peer};

pub(crate) const REPOSITORY: &str = "bench/image";

/// A registry and a manager that knows it.
pub(crate) struct ServingSetup {
    pub(crate) registry: Nginx,
    pub(crate) manager: Manager,
}

impl ServingSetup {
    pub(crate) async fn new() -> Self {
        Self::configured(|_| String::new()).await
    }

    /// The same with more in the manager's file, which may name the registry.
    pub(crate) async fn configured(more: impl FnOnce(&str) -> String) -> Self {
        let registry = NginxSpec::new(Mover::Sendfile).access_log();
        Self::with(registry, ManagerSpec::new(), more).await
    }

    /// Registry and manager on machines of their own.
    pub(crate) async fn on(registry: &Host, manager: &Host) -> Self {
        let nginx = NginxSpec::new(Mover::Sendfile).access_log().on(registry);
        Self::with(nginx, ManagerSpec::new().on(manager), |_| String::new()).await
    }

    async fn with(registry: NginxSpec, manager: ManagerSpec, more: impl FnOnce(&str) -> String) -> Self {
        let registry = registry.start().await;
        let described = plain_http(&registry.host());
        let manager = manager.config(&described).config(&more(&registry.host()));
        let manager = manager.start().await;
        Self { registry, manager }
    }

    /// Path and query of an object at a peer's front.
    pub(crate) fn path(&self, digest: &str) -> String {
        let registry = self.registry.host().replace(':', "%3A");
        format!("/v2/{REPOSITORY}/blobs/{digest}?ns={registry}")
    }

    pub(crate) fn url(&self, peer: &Peer, digest: &str) -> String {
        peer.front_url() + &self.path(digest)
    }

    pub(crate) fn registry_url(&self, digest: &str) -> String {
        self.registry.blob_url(REPOSITORY, digest)
    }
}

/// Serves an image with layers of these sizes at the registry.
pub(crate) fn served(setup: &ServingSetup, seed: u64, layers: impl IntoIterator<Item = u64>) -> Image {
    let image = ImageSpec::new(seed)
        .layers(layers.into_iter().map(LayerSpec::plain))
        .build();
    setup.registry.serve(&image, REPOSITORY);
    image
}

pub(crate) fn digests(image: &Image) -> Vec<String> {
    image.layers().iter().map(|layer| layer.digest.clone()).collect()
}

/// The file of a sealed object, below its peer's folder.
pub(crate) fn sealed_path(digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    format!("/sealed/{}/{hex}", &hex[..2])
}

pub(crate) fn store_of(peer: &Peer) -> PathBuf {
    peer.data_dir().join("store")
}

/// A folder in memory, where the disk would be the limit and many copies are written at once.
pub(crate) fn in_memory() -> TempDir {
    let base = Path::new("/dev/shm");
    let base = if base.is_dir() {
        base.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("stoker-bench-")
        .tempdir_in(base)
        .expect("a folder in memory")
}

/// Configuration for a registry without TLS.
pub(crate) fn plain_http(host: &str) -> String {
    format!("[registry.\"{host}\"]\nplain_http = true\n")
}
