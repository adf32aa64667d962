//! A client of plain HTTP that reads blobs as lazy loaders do: a probe, many ranges in one request, then the whole.

use std::ops::Range;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use world::Registry;

const MANIFESTS: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";

/// Asks one front for images of one registry.
pub(crate) struct PlainClient {
    http: Client,
    front: String,
    registry: String,
}

impl PlainClient {
    pub(crate) fn new(front_url: &str, registry: &Registry) -> Self {
        Self::of_host(front_url, &registry.host())
    }

    /// For a registry that is no `Registry`.
    pub(crate) fn of_host(front_url: &str, registry: &str) -> Self {
        Self {
            http: world::http::client(None),
            front: front_url.to_owned(),
            registry: registry.to_owned(),
        }
    }

    /// One object of a repository, whole or what `range` names.
    pub(crate) async fn ask(&self, path: &str, range: Option<&str>) -> Response {
        let url = format!("{}/v2/{path}", self.front);
        let mut request = self.http.get(url).query(&[("ns", &self.registry)]);
        request = request
            .header(ACCEPT, MANIFESTS)
            .header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        request.send().await.expect("an answer")
    }

    /// The manifest, and each blob that it lists, read as a lazy loader does; fails unless every byte is right.
    pub(crate) async fn pull(&self, repository: &str, tag: &str) -> Vec<String> {
        let blobs = self.blobs(repository, tag).await;
        let read = blobs
            .iter()
            .map(|(digest, size)| self.read_lazily(repository, digest, *size));
        futures_util::future::join_all(read).await;
        blobs.into_iter().map(|(digest, _)| digest).collect()
    }

    /// The same, each blob by one request, all at once.
    pub(crate) async fn pull_whole(&self, repository: &str, tag: &str) -> usize {
        let blobs = self.blobs(repository, tag).await;
        let read = blobs.iter().map(async |(digest, _)| {
            let whole = self.ask(&format!("{repository}/blobs/{digest}"), None).await;
            let whole = whole.bytes().await.expect("the whole");
            assert_eq!(world::image::artifact::digest_of(&whole), *digest);
        });
        futures_util::future::join_all(read).await.len()
    }

    async fn blobs(&self, repository: &str, tag: &str) -> Vec<(String, u64)> {
        let manifest = self.ask(&format!("{repository}/manifests/{tag}"), None).await;
        assert_eq!(manifest.status(), StatusCode::OK);
        let manifest: Value = manifest.json().await.expect("a manifest");
        let layers = manifest["layers"].as_array().expect("layers");
        let read = |blob: &Value| {
            let digest = blob["digest"].as_str().expect("a digest").to_owned();
            (digest, blob["size"].as_u64().expect("a size"))
        };
        layers.iter().chain([&manifest["config"]]).map(read).collect()
    }

    /// A probe, eight ranges in one request, then all of it: the same bytes each time.
    async fn read_lazily(&self, repository: &str, digest: &str, size: u64) {
        let path = format!("{repository}/blobs/{digest}");
        let probe = self.ask(&path, Some("bytes=0-1")).await;
        assert_eq!(probe.status(), StatusCode::PARTIAL_CONTENT);
        let probe = probe.bytes().await.expect("two bytes");
        let step = size / 8;
        let ranges: Vec<Range<u64>> = (0..8).map(|n| n * step..n * step + step.min(70_000)).collect();
        let many = (step > 0).then_some(ranges.clone());
        let parts = match many {
            Some(ranges) => self.parts(&path, &ranges, size).await,
            None => Vec::new(),
        };
        let whole = self.ask(&path, None).await.bytes().await.expect("the whole");
        assert_eq!(world::image::artifact::digest_of(&whole), digest);
        assert!(whole.starts_with(&probe));
        for (range, part) in ranges.iter().zip(parts) {
            let place =
                usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small");
            assert!(whole.get(place) == Some(part.as_slice()), "{digest} {range:?}");
        }
    }

    /// The bytes of each range, asked for in one request.
    pub(crate) async fn parts(&self, path: &str, ranges: &[Range<u64>], size: u64) -> Vec<Vec<u8>> {
        let each: Vec<String> = ranges
            .iter()
            .map(|range| format!("{}-{}", range.start, range.end - 1))
            .collect();
        let answer = self.ask(path, Some(&format!("bytes={}", each.join(",")))).await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let headers = answer.headers().clone();
        let body = answer.bytes().await.expect("every part");
        assert_eq!(text(&headers, CONTENT_LENGTH.as_str()), body.len().to_string());
        let parts = multipart(text(&headers, CONTENT_TYPE.as_str()), &body);
        assert_eq!(parts.len(), ranges.len());
        for ((told, _), range) in parts.iter().zip(ranges) {
            assert_eq!(*told, format!("bytes {}-{}/{size}", range.start, range.end - 1));
        }
        parts.into_iter().map(|(_, bytes)| bytes).collect()
    }
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> &'headers str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The `Content-Range` and bytes of each part.
fn multipart(content_type: &str, body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap_or_else(|| panic!("{content_type} is no multipart answer"));
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body;
    let mut parts = Vec::new();
    loop {
        rest = rest
            .strip_prefix(delimiter.as_bytes())
            .expect("a delimiter where a part ends");
        if rest == b"--\r\n" {
            return parts;
        }
        let head_ends = rest
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head")
            + 4;
        let head = std::str::from_utf8(&rest[..head_ends]).expect("text");
        let told = head.lines().find_map(|line| line.strip_prefix("Content-Range: "));
        let told = told.expect("a place").to_owned();
        let (first, last) = told
            .trim_start_matches("bytes ")
            .split_once('/')
            .and_then(|(range, _)| range.split_once('-'))
            .expect("a range");
        let number = |text: &str| text.parse::<usize>().expect("a number");
        let length = number(last) - number(first) + 1;
        let bytes = rest[head_ends..head_ends + length].to_vec();
        rest = &rest[head_ends + length..];
        parts.push((told, bytes));
    }
}
