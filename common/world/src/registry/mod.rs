//! A real docker-registry, with and without sign-in and TLS; data and port survive a stop.
//!
//! Its log shows how often an object was fetched: [`Registry::gets_of`].

mod access_log;
mod accounts;
mod faults;
mod forward_proxy;
mod harbor_endpoint;
mod notifications;
mod push;
mod settings;
mod token_server;
mod upload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Client;
use tempfile::TempDir;

pub use access_log::Request;
pub use accounts::{PASSWORD, USER};
pub use forward_proxy::ForwardProxy;
pub use harbor_endpoint::{HarborEndpoint, HarborPull, HarborRequest};
use settings::Tls;
pub use token_server::{BearerSpec, Exchange, TokenServer};

use crate::http::status_of;
use crate::net::{Host, command_on, port_on};
use crate::program::Signal;
use crate::registry_clients::distribution_3;
use crate::{Authority, Identity, Port, Program, Usage, files};

const START_LIMIT: Duration = Duration::from_secs(30);

/// How callers sign in.
#[derive(Debug, Clone, Default)]
pub enum SignIn {
    #[default]
    Nobody,
    /// [`USER`] with [`PASSWORD`], and `bob` with `b0bs-word`.
    Basic,
    Bearer(BearerSpec),
}

/// A docker-registry for one test.
pub struct Registry {
    // Declared before the folder, so that the program ends before its folder is removed.
    program: Option<Program>,
    dir: TempDir,
    port: Port,
    ca_pem: Option<String>,
    client_identity: Option<Identity>,
    asks_for_password: bool,
    token_server: Option<TokenServer>,
    host: Option<Host>,
    client: Client,
    /// The number of log lines at the last call of `forget_requests`.
    forgotten: usize,
    is_distribution_3: bool,
}

impl Registry {
    pub async fn plain() -> Self {
        Self::with(SignIn::Nobody, false).await
    }

    /// Docker distribution 3, which `make test-clients` builds.
    pub async fn distribution_3() -> Self {
        let mut registry = Self::plain().await;
        registry.stop();
        registry.is_distribution_3 = true;
        registry.start().await;
        registry
    }

    /// Runs on its own machine.
    pub async fn plain_on(host: &Host) -> Self {
        Self::build(SignIn::Nobody, None, None, Some(host.clone())).await
    }

    pub async fn basic() -> Self {
        Self::with(SignIn::Basic, false).await
    }

    /// HTTPS with a certificate of its own CA.
    pub async fn tls() -> Self {
        Self::with(SignIn::Nobody, true).await
    }

    pub async fn bearer(spec: BearerSpec) -> Self {
        Self::with(SignIn::Bearer(spec), false).await
    }

    /// HTTPS that requires a client certificate: [`Registry::client_identity`].
    pub async fn mutual_tls() -> Self {
        let authority = Authority::new("the registry's own authority");
        let client = authority.client_identity();
        Self::build(SignIn::Nobody, Some(authority), Some(client), None).await
    }

    pub async fn with(sign_in: SignIn, tls: bool) -> Self {
        let authority = tls.then(|| Authority::new("the registry's own authority"));
        Self::build(sign_in, authority, None, None).await
    }

    async fn build(
        sign_in: SignIn,
        authority: Option<Authority>,
        client: Option<Identity>,
        host: Option<Host>,
    ) -> Self {
        let dir = files::temporary("registry");
        let asks_for_password = !matches!(sign_in, SignIn::Nobody);
        let ca_pem = authority.as_ref().map(Authority::ca_pem);
        let port = port_on(host.as_ref());
        let tls = match (&authority, &client) {
            (None, _) => Tls::None,
            (Some(authority), None) => Tls::Server(authority),
            (Some(authority), Some(client)) => Tls::Mutual(authority, client),
        };
        let token_server = settings::write(dir.path(), &port, sign_in, tls).await;
        let mut registry = Self {
            program: None,
            dir,
            port,
            client: crate::http::client_as(client.as_ref(), ca_pem.as_deref()),
            ca_pem,
            client_identity: client,
            asks_for_password,
            token_server,
            host,
            forgotten: 0,
            is_distribution_3: false,
        };
        registry.start().await;
        registry.forget_requests().await;
        registry
    }

    /// `127.0.0.1:PORT`: the registry's name in image references.
    pub fn host(&self) -> String {
        self.port.to_string()
    }

    /// `http://127.0.0.1:PORT`, or https.
    pub fn url(&self) -> String {
        let scheme = if self.ca_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.port)
    }

    /// Returns the URL with which Harbor names this image.
    pub fn manifest_url(&self, repository: &str, reference: &str) -> String {
        format!("{}/v2/{repository}/manifests/{reference}", self.url())
    }

    /// Returns the PEM of its CA; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Only with [`Registry::mutual_tls`].
    pub fn client_identity(&self) -> &Identity {
        self.client_identity.as_ref().expect("a registry with mutual TLS")
    }

    pub fn is_plain_http(&self) -> bool {
        self.ca_pem.is_none()
    }

    /// Only with [`Registry::bearer`].
    pub fn token_server(&self) -> &TokenServer {
        self.token_server
            .as_ref()
            .expect("a registry with Bearer sign-in")
    }

    pub fn token_server_mut(&mut self) -> &mut TokenServer {
        self.token_server
            .as_mut()
            .expect("a registry with Bearer sign-in")
    }

    /// A client that trusts this registry.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns its CPU time and memory.
    pub fn usage(&self) -> Usage {
        Usage::of(self.program.as_ref().expect("a running registry").pid())
    }

    pub fn is_running(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::is_running)
    }

    /// Kills it, like a power failure; its port is then closed.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Starts it again, on the same port with the same data.
    pub async fn start(&mut self) {
        if self.is_running() {
            return;
        }
        let mut command = if self.is_distribution_3 {
            std::process::Command::new(distribution_3())
        } else {
            command_on(self.host.as_ref(), "docker-registry")
        };
        command
            .arg("serve")
            .arg(self.dir.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none");
        let log = self.dir.path().join("registry.log");
        let mut program = Program::start("docker-registry", command, &log, Some(&self.access_log()));
        let url = format!("{}/v2/", self.url());
        program
            .wait_until(START_LIMIT, async || {
                status_of(&self.client, &url).await.is_some()
            })
            .await;
        self.program = Some(program);
    }

    /// Accepts connections but sends nothing, until [`Registry::resume`].
    pub fn hang(&mut self) {
        self.program
            .as_mut()
            .expect("a running registry")
            .signal(Signal::Freeze);
    }

    pub fn resume(&mut self) {
        self.program
            .as_mut()
            .expect("a running registry")
            .signal(Signal::Thaw);
    }

    fn access_log(&self) -> PathBuf {
        self.dir.path().join("access.log")
    }

    fn data(&self) -> PathBuf {
        settings::data(self.dir.path())
    }

    fn certificates(&self) -> &Path {
        self.dir.path()
    }
}
