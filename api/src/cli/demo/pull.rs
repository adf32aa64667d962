//! Pulls the image through each node's peer, in the order of containerd's requests: HEAD of the tag, index,
//! manifest, then config and layers in parallel. This module verifies every digest itself.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci::Digest;
use process::Running;
use reqwest::{Client, Method, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::fleet::Fleet;
use super::image::PLATFORMS;
use super::registry::{REPOSITORY, SampleRegistry, TAG};

const LIMIT: Duration = Duration::from_secs(120);
const AT_ONCE: usize = 3;

/// What one node pulled.
pub(crate) struct Pull {
    pub(crate) node: String,
    pub(crate) platform: String,
    pub(crate) objects: usize,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

/// One node's container runtime.
struct Runtime {
    http: Client,
    front: String,
    registry: String,
    architecture: &'static str,
}

/// Pulls on all nodes at the same time. The nodes alternate between the platforms.
pub(crate) async fn through_each_node(
    fleet: &Fleet,
    registry: &SampleRegistry,
    running: &Running,
) -> anyhow::Result<Vec<Pull>> {
    let mut pulling = Vec::new();
    for (node, (_, architecture)) in fleet.nodes().zip(PLATFORMS.into_iter().cycle()) {
        let runtime = Runtime {
            http: process::http::client(&process::http::ClientOptions::default())?,
            front: node.front.clone(),
            registry: registry.address().to_string(),
            architecture,
        };
        pulling.push((node.name, running.spawn(async move { runtime.pull().await })));
    }
    let mut pulls = Vec::new();
    for (node, task) in pulling {
        let pull = task.await?.context("a pull was stopped")?;
        pulls.push(Pull {
            node: node.to_owned(),
            ..pull.with_context(|| format!("the pull of {node} failed"))?
        });
    }
    Ok(pulls)
}

impl Runtime {
    async fn pull(&self) -> anyhow::Result<Pull> {
        let began = Instant::now();
        let index = self.resolve().await?;
        let index_bytes = self.document(&index).await?;
        let Index { manifests } = serde_json::from_slice(&index_bytes)?;
        let wanted = manifests
            .into_iter()
            .find(|entry| {
                entry
                    .platform
                    .as_ref()
                    .is_some_and(|platform| platform.architecture == self.architecture)
            })
            .context("the index does not list this node's platform")?;
        let manifest_bytes = self.document(&wanted.digest).await?;
        let Manifest { config, layers } = serde_json::from_slice(&manifest_bytes)?;
        let blobs: Vec<Descriptor> = std::iter::once(config).chain(layers).collect();
        let bytes: u64 = blobs.iter().map(|blob| blob.size).sum();
        let objects = blobs.len() + 2;
        stream::iter(blobs.into_iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |blob| self.blob(blob))
            .await?;
        let os = wanted.platform.map_or_else(String::new, |platform| platform.os);
        Ok(Pull {
            node: String::new(),
            platform: format!("{os}/{}", self.architecture),
            objects,
            bytes: bytes + (index_bytes.len() + manifest_bytes.len()) as u64,
            took: began.elapsed(),
        })
    }

    /// Resolves the tag by a HEAD request.
    async fn resolve(&self) -> anyhow::Result<Digest> {
        let head = self.request(Method::HEAD, &format!("manifests/{TAG}")).await?;
        let named = head
            .headers()
            .get("docker-content-digest")
            .context("the response to HEAD has no docker-content-digest")?;
        Ok(named.to_str()?.parse()?)
    }

    async fn document(&self, digest: &Digest) -> anyhow::Result<Bytes> {
        let bytes = self
            .request(Method::GET, &format!("manifests/{digest}"))
            .await?
            .bytes()
            .await?;
        ensure!(
            Digest::of(&bytes) == *digest,
            "the bytes of {digest} do not match this digest"
        );
        Ok(bytes)
    }

    async fn blob(&self, blob: Descriptor) -> anyhow::Result<()> {
        let mut body = self
            .request(Method::GET, &format!("blobs/{}", blob.digest))
            .await?
            .bytes_stream();
        let mut hash = Sha256::new();
        let mut size = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk
                .with_context(|| format!("the response for {} ended after {size} bytes", blob.digest))?;
            size += chunk.len() as u64;
            hash.update(&chunk);
        }
        ensure!(
            size == blob.size,
            "{} has {size} bytes instead of {}",
            blob.digest,
            blob.size
        );
        ensure!(
            Digest::from_sha256(hash.finalize().into()) == blob.digest,
            "the bytes of {} do not match this digest",
            blob.digest
        );
        Ok(())
    }

    async fn request(&self, method: Method, what: &str) -> anyhow::Result<Response> {
        let response = self
            .http
            .request(
                method.clone(),
                format!("http://{}/v2/{REPOSITORY}/{what}", self.front),
            )
            .query(&[("ns", &self.registry)])
            .header("accept", format!("{}, */*", oci::MANIFEST_ACCEPT.join(", ")))
            .timeout(LIMIT)
            .send()
            .await
            .with_context(|| format!("{method} {what}"))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.unwrap_or_default();
        bail!("{method} {what} failed: {status}: {body}")
    }
}
