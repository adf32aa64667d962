//! Pushes artifacts of every kind by the registry's own API, byte for byte.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{RequestBuilder, StatusCode};

use super::Registry;
use crate::image::artifact::{Artifact, Part};

impl Registry {
    /// Pushes every part, and the root under this tag. The registry must be open, or a token is needed.
    pub async fn push_artifact(&self, artifact: &Artifact, repository: &str, tag: &str) {
        for part in artifact.parts() {
            if part.is_manifest {
                self.put_manifest(part, repository, &part.digest).await;
            } else {
                self.put_blob(part, repository).await;
            }
        }
        self.put_manifest(artifact.root(), repository, tag).await;
    }

    /// Pushes only a manifest; the registry must have its blobs.
    pub async fn put_manifest(&self, part: &Part, repository: &str, reference: &str) {
        let url = self.manifest_url(repository, reference);
        let request = self.client().put(url).header(CONTENT_TYPE, &part.media_type);
        let request = self.signed(request, repository);
        created(request.body(part.bytes.clone()), &part.digest).await;
    }

    async fn put_blob(&self, part: &Part, repository: &str) {
        let begin = self
            .client()
            .post(format!("{}/v2/{repository}/blobs/uploads/", self.url()));
        let begin = self.signed(begin, repository);
        let answer = begin.send().await.expect("an upload begins");
        let place = answer.headers().get(LOCATION).expect("a URL for the upload");
        let mut url: url::Url = place.to_str().expect("text").parse().expect("a URL");
        url.query_pairs_mut().append_pair("digest", &part.digest);
        let request = self
            .client()
            .put(url)
            .header(CONTENT_TYPE, "application/octet-stream");
        let request = self.signed(request, repository);
        created(request.body(part.bytes.clone()), &part.digest).await;
    }

    fn signed(&self, request: RequestBuilder, repository: &str) -> RequestBuilder {
        match &self.token_server {
            Some(server) => request.bearer_auth(server.jwt_to_push(repository)),
            None => request,
        }
    }
}

async fn created(request: RequestBuilder, what: &str) {
    let answer = request
        .send()
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    assert_eq!(status, StatusCode::CREATED, "{what}: {text}");
}
