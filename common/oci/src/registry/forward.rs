//! Forwards a client's request with the client's own `Authorization` and no credential of ours.
//!
//! **Invariant:** any status is a response. An error means that the registry did not answer or is unusable, never that
//! it refused.

use std::time::Duration;

use http::Method;
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use reqwest::Response;
use tokio::time::timeout;

use super::blob::BlobPart;
use super::client::Registry;
use super::request::{History, Request};
use crate::{Digest, RegistryError, Repository, RequestedList, Secret, TagOrDigest};

/// A client's request, to be forwarded.
#[derive(Debug, Clone)]
pub struct ForwardedRequest {
    /// `GET` or `HEAD`.
    pub method: Method,
    pub repository: Repository,
    pub kind: ForwardedObject,
    pub authorization: Option<Secret>,
    /// The client's `Accept` values. If empty: no `Accept` header for blobs, ours for manifests.
    pub accept: Vec<String>,
    /// Time limit until the headers of the last response, redirects included.
    pub limit: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardedObject {
    Manifest {
        wanted: TagOrDigest,
    },
    Blob {
        digest: Digest,
    },
    /// The first byte of a blob: shows access and length where `HEAD` does not.
    FirstByte {
        digest: Digest,
    },
    /// `GET /v2/`: shows how callers sign in.
    Version,
    /// A list, with the query of the client's request (encoded, may be empty).
    List {
        list: RequestedList,
        query: String,
    },
}

impl Registry {
    /// Returns the registry's response, whatever its status. Redirects to other hosts are followed without
    /// `Authorization`.
    pub async fn forward(&self, question: ForwardedRequest) -> Result<Response, RegistryError> {
        let ForwardedRequest {
            method,
            repository,
            kind,
            authorization,
            accept,
            limit,
        } = question;
        if !matches!(method, Method::GET | Method::HEAD) {
            let cause = format!("{method} is not forwarded, only GET and HEAD");
            return Err(RegistryError::Setup {
                registry: self.name().clone(),
                cause,
            });
        }
        let mut request = match &kind {
            ForwardedObject::Manifest { wanted } => self.manifest_request(method, &repository, wanted),
            ForwardedObject::Blob { digest } => {
                self.blob_request(method, &repository, digest, BlobPart::from(0))
            }
            ForwardedObject::FirstByte { digest } => self.blob_request(
                method,
                &repository,
                digest,
                BlobPart {
                    from: 0,
                    until: Some(1),
                },
            ),
            ForwardedObject::Version => self.version_request(method, &repository),
            ForwardedObject::List { list, query } => self.list_request(method, &repository, list, query),
        };
        request.header_wait = Some(limit);
        if !accept.is_empty() {
            request.accept = accept.join(", ");
        }
        let answer = timeout(limit, self.send(&request, authorization.as_ref())).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(RegistryError::TimedOut {
                requested: request.requested,
                awaited: "response",
                limit,
            })
        })?;
        Ok(answer.into_response())
    }

    fn version_request(&self, method: Method, repository: &Repository) -> Request {
        Request {
            kind: "version",
            template: "/v2/",
            path: String::new(),
            requested: self.requested("version of the API".to_owned()),
            ..self.list_request(method, repository, &RequestedList::Tags, "")
        }
    }

    fn list_request(
        &self,
        method: Method,
        repository: &Repository,
        list: &RequestedList,
        query: &str,
    ) -> Request {
        let joint = if query.is_empty() { "" } else { "?" };
        let accept = match list {
            RequestedList::Tags => "application/json",
            RequestedList::Referrers(_) => OCI_IMAGE_INDEX_MEDIA_TYPE,
        };
        Request {
            method,
            kind: "list",
            template: list.template(),
            path: format!("{repository}/{}{joint}{query}", list.path()),
            repository: repository.clone(),
            image: format!("{}/{repository}", self.name()),
            accept: accept.to_owned(),
            from: 0,
            until: None,
            requested: self.requested(format!("{list} of {repository}")),
            header_wait: None,
            history: History::default(),
        }
    }
}
