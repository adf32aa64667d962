//! Probes whether a registry's host answers: `GET /v2/` without a credential, over a new connection.
//!
//! **Invariant:** the path does not depend on the base path that a caller names, so no caller chooses the response. An
//! error of this machine, such as too few file descriptors, says nothing about the host.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;
use url::Url;

use super::client::Registry;
use crate::clients::DialMode;

/// Error numbers of this machine: out of memory, files (system, process), local ports, buffers.
const LOCAL_FAULTS: [i32; 5] = [12, 23, 24, 99, 105];

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Answered(StatusCode),
    /// No connection, or no headers in time.
    Nothing,
    /// This machine could not send the probe.
    NotAsked,
}

impl Probe {
    /// Sends `GET url` without a credential. `client` must use a new connection for each request.
    pub async fn send(client: &reqwest::Client, url: Url, limit: Duration) -> Self {
        let request = reqwest::Request::new(Method::GET, url);
        match timeout(limit, client.execute(request)).await {
            Ok(Ok(response)) => Self::Answered(response.status()),
            Ok(Err(error)) if is_local(&error) => Self::NotAsked,
            Ok(Err(_)) | Err(_) => Self::Nothing,
        }
    }
}

impl Registry {
    /// Returns scheme, host and port: `https://registry.example.com`.
    pub fn server(&self) -> String {
        self.inner.base.origin().ascii_serialization()
    }

    /// Probes the host. Needs no connection slot: `max_connections` limits transfers only.
    pub async fn probe(&self, limit: Duration) -> Probe {
        let mut url = self.inner.base.clone();
        url.set_path("/v2/");
        if self.inner.dial.check(&url).await.is_err() {
            return Probe::NotAsked;
        }
        match self.inner.clients.of(DialMode::to_registry().fresh()) {
            Ok(client) => Probe::send(&client, url, limit).await,
            Err(_) => Probe::NotAsked,
        }
    }
}

fn is_local(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let number = deeper
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if number.is_some_and(|number| LOCAL_FAULTS.contains(&number)) {
            return true;
        }
        cause = deeper.source();
    }
    false
}
