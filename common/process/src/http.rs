//! Builds HTTP clients: no proxy from the environment (a peer may itself be the node's proxy), no automatic redirects
//! (credentials must not follow them), a connect timeout.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Identity, Proxy};

use crate::trust::{self, TrustError};

pub const USER_AGENT: &str = concat!("stoker/", env!("CARGO_PKG_VERSION"));
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// An idle connection is not reused after this time. Servers and load balancers drop idle connections: AWS ALB and many
/// servers after 60 s, nginx after 75 s, Azure's load balancer after 240 s, AWS NLB after 350 s. Ours ends first.
const IDLE_LIMIT: Duration = Duration::from_secs(45);
const _: () = assert!(IDLE_LIMIT.as_secs() < 60);
/// Keeps NATs from dropping a connection during a slow response, and detects a dead server after 60 s.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TRIES: u32 = 3;

/// Options of an HTTP client. `Debug` shows neither key nor proxy, which may hold secrets.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// PEM of certificates that are trusted besides the system's: CAs, or the server's own.
    pub ca_pem: Option<String>,
    pub insecure_skip_verify: bool,
    /// PEM of the client certificate and its private key, for servers that require one.
    pub identity_pem: Option<String>,
    /// URL of an HTTP proxy for all requests, with its user name and password.
    pub proxy: Option<String>,
    /// Uses a new connection for each request.
    pub fresh: bool,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ClientOptions")
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .field("has_ca", &self.ca_pem.is_some())
            .field("has_identity", &self.identity_pem.is_some())
            .field("has_proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    // The library's text could repeat a password.
    #[error("the proxy's URL is unusable: write http://proxy.example.com:3128")]
    NoProxy,
    #[error("cannot build an HTTP client")]
    Build(#[source] reqwest::Error),
}

/// Builds a client.
#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
pub fn client(options: &ClientOptions) -> Result<Client, ClientError> {
    configured(checking(Client::builder(), options)?, options)
}

/// Builds a client that resolves names with the caller's resolver, which decides the addresses to dial.
#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
pub fn guarded_client(options: &ClientOptions, names: Arc<dyn Resolve>) -> Result<Client, ClientError> {
    configured(checking(Client::builder().dns_resolver(names), options)?, options)
}

/// Builds a client with a ready-made TLS configuration.
#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
pub(crate) fn client_over(tls: rustls::ClientConfig) -> Result<Client, ClientError> {
    let builder = Client::builder().tls_backend_preconfigured(tls).https_only(true);
    configured(builder, &ClientOptions::default())
}

/// Sets how servers' certificates are checked, and the client's own certificate.
fn checking(builder: ClientBuilder, options: &ClientOptions) -> Result<ClientBuilder, ClientError> {
    let identity = options.identity_pem.as_deref();
    if !options.insecure_skip_verify {
        let tls = trust::client_config(options.ca_pem.as_deref(), identity)?;
        return Ok(builder.tls_backend_preconfigured(tls));
    }
    let builder = builder.tls_danger_accept_invalid_certs(true);
    let Some(pem) = identity else {
        return Ok(builder);
    };
    let identity = Identity::from_pem(pem.as_bytes()).map_err(|_| TrustError::NoIdentity)?;
    Ok(builder.identity(identity))
}

fn configured(builder: ClientBuilder, options: &ClientOptions) -> Result<Client, ClientError> {
    let mut builder = builder
        .user_agent(USER_AGENT)
        .default_headers(unencoded())
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT)
        .pool_max_idle_per_host(if options.fresh { 0 } else { usize::MAX })
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
        .tcp_keepalive_retries(KEEPALIVE_TRIES)
        .tcp_nodelay(true)
        // HTTP/2 would put all transfers with one host on one connection.
        .http1_only();
    if let Some(url) = &options.proxy {
        builder = builder.proxy(Proxy::all(url).map_err(|_| ClientError::NoProxy)?);
    }
    builder.build().map_err(ClientError::Build)
}

/// Asks for bodies as they are: digests and byte ranges are those of the plain bytes, and without this header HTTP lets a
/// server choose any coding.
fn unencoded() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}

/// Builds a client that accepts any certificate, to inspect a server; responses carry the certificate
/// ([`reqwest::tls::TlsInfo`]). Never send a secret with it.
pub fn curious_client() -> Result<Client, ClientError> {
    curious_client_like(&ClientOptions::default())
}

/// The same with the proxy and the client certificate of these options.
#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
pub fn curious_client_like(options: &ClientOptions) -> Result<Client, ClientError> {
    let trusting = ClientOptions {
        ca_pem: None,
        insecure_skip_verify: true,
        ..options.clone()
    };
    configured(checking(Client::builder().tls_info(true), &trusting)?, &trusting)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends two requests to a server, and returns how many connections they used.
    async fn connections_of_two_requests(options: &ClientOptions) -> usize {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let counted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&counted);
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            let mut speaking = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                speaking.spawn(async move {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        stream.write_all(answer).await.expect("written");
                    }
                });
            }
        });
        let client = client(options).expect("a client");
        for _ in 0..2 {
            let answer = client.get(&url).send().await.expect("an answer");
            answer.bytes().await.expect("a body");
        }
        counted.load(std::sync::atomic::Ordering::SeqCst)
    }

    #[tokio::test]
    async fn a_fresh_client_makes_a_connection_for_each_request() {
        let fresh = ClientOptions {
            fresh: true,
            ..ClientOptions::default()
        };
        assert_eq!(connections_of_two_requests(&fresh).await, 2);
    }

    #[test]
    fn a_ca_file_of_junk_is_refused() {
        let options = ClientOptions {
            ca_pem: Some("junk".to_owned()),
            ..ClientOptions::default()
        };
        assert!(matches!(
            client(&options),
            Err(ClientError::Trust(TrustError::NoCertificate))
        ));
    }

    #[test]
    fn a_client_certificate_of_junk_is_refused_without_repeating_it() {
        let options = ClientOptions {
            identity_pem: Some("s3cret".to_owned()),
            ..ClientOptions::default()
        };
        let error = client(&options).expect_err("junk");
        assert!(matches!(error, ClientError::Trust(TrustError::NoIdentity)));
        assert!(!format!("{error} {error:?} {options:?}").contains("s3cret"));
    }

    #[test]
    fn an_invalid_proxy_is_refused_without_repeating_it() {
        let options = ClientOptions {
            proxy: Some("http://ann:s3cret@[".to_owned()),
            ..ClientOptions::default()
        };
        let error = client(&options).expect_err("an invalid URL");
        assert!(matches!(error, ClientError::NoProxy));
        assert!(!format!("{error} {error:?} {options:?}").contains("s3cret"));
    }
}
