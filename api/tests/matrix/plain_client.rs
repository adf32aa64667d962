//! A client as plain as can be: it signs in as it is asked to, resumes bodies that break off, and verifies digests.
//!
//! **Invariant:** the same code asks a registry and a peer's front, so a difference is the peer's.

use std::ops::Range;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, RANGE, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use world::image::artifact::digest_of;

use crate::cell::{Cell, Use};
use crate::contents::Contents;
use crate::odd_registry::{PASSWORD, USER};

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Requests for one body that bring nothing.
const FRUITLESS: u32 = 3;

/// Why a client did not get what it wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PullFailure {
    #[error("{object}: {status}")]
    Refused { object: String, status: StatusCode },
    #[error("{object}: broke off at byte {at} of {size}")]
    Broken { object: String, at: u64, size: u64 },
    #[error("{object}: wrong bytes")]
    Wrong { object: String },
    #[error("{object}: no response")]
    Silent { object: String },
}

impl PullFailure {
    /// Whether a runtime goes to the registry itself.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.is_server_error())
    }
}

/// Reads one repository, at a registry or through a front.
pub(crate) struct PlainClient<'test> {
    pub(crate) http: &'test Client,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: &'test str,
    /// The registry, named to a front.
    pub(crate) registry: Option<&'test str>,
    pub(crate) cell: Cell,
    authorization: Mutex<Option<String>>,
}

impl<'test> PlainClient<'test> {
    pub(crate) fn new(
        http: &'test Client,
        url: &'test str,
        registry: Option<&'test str>,
        cell: Cell,
    ) -> Self {
        Self {
            http,
            url,
            registry,
            cell,
            authorization: Mutex::default(),
        }
    }

    /// Does what the cell wants.
    pub(crate) async fn run(&self, contents: &Contents) -> Result<(), PullFailure> {
        match self.cell.used {
            Use::PullByTag => self.pull("v1", contents).await,
            Use::Preheat | Use::PullByDigest => self.pull(&contents.root().digest, contents).await,
            Use::Range => self.read_ranges(contents).await,
        }
    }

    /// The answer to HEAD of the tag: its status, digest and length.
    pub(crate) async fn head(&self) -> Result<(StatusCode, Option<String>, Option<u64>), PullFailure> {
        let response = self.ask(Method::HEAD, "manifests/v1", None).await?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let length = header(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
        let digest = header("Docker-Content-Digest").map(str::to_owned);
        Ok((response.status(), digest, length))
    }

    async fn pull(&self, reference: &str, contents: &Contents) -> Result<(), PullFailure> {
        let mut manifests = vec![(reference.to_owned(), contents.root().digest.clone())];
        let mut blobs = Vec::new();
        while let Some((reference, digest)) = manifests.pop() {
            let manifest = self.manifest(&reference, &digest).await?;
            manifests.extend(entries(&manifest, "manifests").map(|(digest, _)| (digest.clone(), digest)));
            blobs.extend(entries(&manifest, "layers"));
            blobs.extend(entry(&manifest["config"]));
        }
        assert_eq!(blobs.len(), contents.blobs.len(), "{}", self.cell);
        let reads = blobs.iter().map(|(digest, size)| self.whole(digest, *size));
        futures_util::future::try_join_all(reads).await.map(drop)
    }

    async fn manifest(&self, reference: &str, digest: &str) -> Result<Value, PullFailure> {
        let object = format!("manifests/{reference}");
        let response = self.ask(Method::GET, &object, None).await?;
        let bytes = response.bytes().await.map_err(|_| PullFailure::Silent {
            object: object.clone(),
        })?;
        if digest_of(&bytes) != digest {
            return Err(PullFailure::Wrong { object });
        }
        Ok(serde_json::from_slice(&bytes).expect("its digest is right"))
    }

    async fn whole(&self, digest: &str, size: u64) -> Result<(), PullFailure> {
        let object = format!("blobs/{digest}");
        let bytes = self.bytes(&object, 0..size, false).await?;
        if digest_of(&bytes) == digest {
            return Ok(());
        }
        Err(PullFailure::Wrong { object })
    }

    /// Reads a cold layer as a lazy loader does: ranges in no order, right after the manifest.
    async fn read_ranges(&self, contents: &Contents) -> Result<(), PullFailure> {
        self.manifest("v1", &contents.root().digest).await?;
        let large = contents.large();
        let size = large.bytes.len() as u64;
        let object = format!("blobs/{}", large.digest);
        for range in [
            0..2,
            size - 9..size,
            1_500_000..2_600_000,
            0..100_000,
            3_000_000..size,
        ] {
            let bytes = self.bytes(&object, range.clone(), true).await?;
            if Some(bytes.as_slice()) != large.bytes.get(as_usize(&range)) {
                return Err(PullFailure::Wrong { object });
            }
        }
        Ok(())
    }

    /// Reads a range and resumes it where it breaks off.
    async fn bytes(&self, object: &str, range: Range<u64>, ranged: bool) -> Result<Vec<u8>, PullFailure> {
        let (mut read, mut fruitless) = (Vec::new(), 0);
        let size = range.end - range.start;
        while (read.len() as u64) < size {
            let at = range.start + read.len() as u64;
            let asked = (ranged || !read.is_empty()).then(|| format!("bytes={at}-{}", range.end - 1));
            let before = read.len();
            let mut response = self.ask(Method::GET, object, asked.as_deref()).await?;
            while let Ok(Some(chunk)) = response.chunk().await {
                read.extend_from_slice(&chunk);
            }
            fruitless = if read.len() > before { 0 } else { fruitless + 1 };
            if fruitless == FRUITLESS {
                return Err(PullFailure::Broken {
                    object: object.to_owned(),
                    at,
                    size,
                });
            }
        }
        Ok(read)
    }

    /// Signs in where it is asked to, and once more where a token is refused.
    async fn ask(&self, method: Method, object: &str, range: Option<&str>) -> Result<Response, PullFailure> {
        let silent = |_| PullFailure::Silent {
            object: object.to_owned(),
        };
        for _ in 0..8 {
            let authorization = self.authorization.lock().await.clone();
            let response = self
                .send(method.clone(), object, range, authorization.as_deref())
                .await;
            let response = response.map_err(silent)?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && authorization.is_none() {
                let answer = self.sign_in(challenge(&response)).await.map_err(silent)?;
                *self.authorization.lock().await = Some(answer);
            } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                && authorization.is_some()
            {
                self.drop_if_still(authorization).await;
            } else if status.is_success() || method == Method::HEAD {
                return Ok(response);
            } else {
                return Err(PullFailure::Refused {
                    object: object.to_owned(),
                    status,
                });
            }
        }
        Err(PullFailure::Refused {
            object: object.to_owned(),
            status: StatusCode::UNAUTHORIZED,
        })
    }

    /// Parallel requests share one token: only the first refusal of it counts.
    async fn drop_if_still(&self, refused: Option<String>) {
        let mut kept = self.authorization.lock().await;
        if *kept == refused {
            *kept = None;
        }
    }

    async fn send(
        &self,
        method: Method,
        object: &str,
        range: Option<&str>,
        authorization: Option<&str>,
    ) -> reqwest::Result<Response> {
        let url = format!("{}/v2/{}/{object}", self.url, self.cell);
        let mut request = self.http.request(method, url);
        if let Some(registry) = self.registry {
            request = request.query(&[("ns", registry)]);
        }
        request = request
            .header(ACCEPT, MANIFESTS)
            .header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        self.follow(request.send().await?, range).await
    }

    /// Follows a redirect without the credential.
    async fn follow(&self, response: Response, range: Option<&str>) -> reqwest::Result<Response> {
        let location = response
            .headers()
            .get("Location")
            .and_then(|value| value.to_str().ok());
        let Some(location) = location.filter(|_| response.status().is_redirection()) else {
            return Ok(response);
        };
        let mut request = self.http.get(location);
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        request.send().await
    }

    async fn sign_in(&self, challenge: String) -> reqwest::Result<String> {
        let Some(fields) = challenge.strip_prefix("Bearer ") else {
            use base64::Engine as _;
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
            return Ok(format!("Basic {pair}"));
        };
        let field = |name: &str| fields.split(&format!("{name}=\"")).nth(1)?.split('"').next();
        let request = self.http.get(field("realm").unwrap_or_default());
        let query = ["service", "scope"].map(|name| (name, field(name).unwrap_or_default()));
        let request = request.query(&query).basic_auth(USER, Some(PASSWORD));
        let answer: Value = request.send().await?.json().await?;
        Ok(format!("Bearer {}", answer["token"].as_str().unwrap_or_default()))
    }
}

fn challenge(response: &Response) -> String {
    let value = response
        .headers()
        .get(WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn entries(manifest: &Value, list: &str) -> impl Iterator<Item = (String, u64)> {
    manifest[list].as_array().into_iter().flatten().filter_map(entry)
}

fn entry(descriptor: &Value) -> Option<(String, u64)> {
    Some((
        descriptor["digest"].as_str()?.to_owned(),
        descriptor["size"].as_u64()?,
    ))
}

fn as_usize(range: &Range<u64>) -> Range<usize> {
    let place = |at: u64| usize::try_from(at).expect("small");
    place(range.start)..place(range.end)
}
