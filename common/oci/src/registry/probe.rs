//! Whether a registry's host answers at all: `GET /v2/` without a credential, over a connection of its own.
//!
//! **Invariant:** the path is the host's own, whatever base path a caller named, so no caller chooses an answer. A fault
//! of this machine, such as too few file descriptors, says nothing about the host.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;
use url::Url;

use super::client::Registry;
use crate::clients::DialMode;

/// Errors of this machine by number: out of memory, files (of the system, of this process), local ports, buffers.
const LOCAL_FAULTS: [i32; 5] = [12, 23, 24, 99, 105];

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Answered(StatusCode),
    /// No connection, or no headers in time.
    Nothing,
    /// This machine could not ask.
    NotAsked,
}

impl Probe {
    /// Sends `GET url` without a credential. `client` has to make a connection for each request.
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
    /// Scheme, host and port: `https://registry.example.com`.
    pub fn server(&self) -> String {
        self.inner.base.origin().ascii_serialization()
    }

    /// Asks the host whether it answers. Waits for no slot: `max_connections` limits what transfers.
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
