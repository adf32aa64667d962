//! A plain HTTP client for tests: no proxy, no redirects, no retries.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

/// Trusts `ca_pem` and nothing else when it is given.
#[expect(
    clippy::disallowed_methods,
    reason = "tests do not check our client with our client"
)]
pub fn client(ca_pem: Option<&str>) -> Client {
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
    builder.build().expect("an HTTP client")
}

/// The status of a GET; none when nobody answers.
pub(crate) async fn status_of(client: &Client, url: &str) -> Option<u16> {
    let answer = client
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    Some(answer.status().as_u16())
}
