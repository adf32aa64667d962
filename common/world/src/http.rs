//! A plain HTTP client for tests: no proxy, no redirects, no retries.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::Identity;

/// Trusts only `ca_pem`, if given.
pub fn client(ca_pem: Option<&str>) -> Client {
    client_as(None, ca_pem)
}

/// The same, with a certificate of its own to show.
#[expect(
    clippy::disallowed_methods,
    reason = "tests do not check our client with our client"
)]
pub fn client_as(identity: Option<&Identity>, ca_pem: Option<&str>) -> Client {
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .user_agent("world")
        .connect_timeout(Duration::from_secs(5));
    builder = match ca_pem {
        Some(pem) => {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).expect("PEM");
            builder.tls_certs_only(certificates)
        }
        // Tests speak TLS only to authorities of their own; no need to load the system's.
        None => builder.tls_certs_only([]),
    };
    if let Some(identity) = identity {
        let pem = format!("{}\n{}", identity.certificate_pem, identity.key_pem);
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).expect("PEM");
        builder = builder.identity(identity);
    }
    builder.build().expect("an HTTP client")
}

/// Returns the status of a GET; `None` without a response.
pub(crate) async fn status_of(client: &Client, url: &str) -> Option<u16> {
    let answer = client
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    Some(answer.status().as_u16())
}
