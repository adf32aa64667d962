//! HTTP clients as ours have to be: no proxy from the environment (a peer may itself be the node's proxy),
//! no redirects by themselves (credentials must not follow one), limits on connecting.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

pub const USER_AGENT: &str = concat!("stoker/", env!("CARGO_PKG_VERSION"));
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const IDLE_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// PEM of authorities that are trusted beside the system's.
    pub ca_pem: Option<String>,
    pub insecure_skip_verify: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the CA file holds no PEM certificate that can be read")]
    NoCertificate,
    #[error("an HTTP client cannot be built (are CA certificates installed on this machine?)")]
    Build(#[source] reqwest::Error),
}

/// The client that all our traffic goes through.
#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
pub fn client(options: &ClientOptions) -> Result<Client, ClientError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT)
        .tcp_nodelay(true)
        // HTTP/2 would put every transfer to one host on one connection.
        .http1_only()
        .tls_danger_accept_invalid_certs(options.insecure_skip_verify);
    if let Some(pem) = &options.ca_pem {
        builder = builder.tls_certs_merge(certificates(pem)?);
    }
    builder.build().map_err(ClientError::Build)
}

/// For looking at a server whatever certificate it shows; its answers carry it ([`reqwest::tls::TlsInfo`]). Nothing
/// secret may be sent with this one.
#[expect(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
pub fn curious_client() -> Result<Client, ClientError> {
    Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .http1_only()
        .tls_danger_accept_invalid_certs(true)
        .tls_info(true)
        .build()
        .map_err(ClientError::Build)
}

/// Parsed by ourselves: the TLS library takes a file of junk for an empty list.
fn certificates(pem: &str) -> Result<Vec<Certificate>, ClientError> {
    use rustls_pki_types::pem::PemObject;
    let certificates: Vec<Certificate> = rustls_pki_types::CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| {
            der.ok()
                .and_then(|der| Certificate::from_der(&der).ok())
                .ok_or(ClientError::NoCertificate)
        })
        .collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        Err(ClientError::NoCertificate)
    } else {
        Ok(certificates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_of_junk_is_refused() {
        let options = ClientOptions {
            ca_pem: Some("junk".to_owned()),
            insecure_skip_verify: false,
        };
        assert!(matches!(client(&options), Err(ClientError::NoCertificate)));
    }
}
