//! HTTP clients for registries and token servers, one for each way of checking certificates.
//! `oci` defines what a client needs, `process` builds it.
//!
//! **Invariant:** this is the one place that turns a registry's TLS settings into a client.

use std::sync::Arc;

use oci::{BuildError, ClientFactory, Dial, Registries, RegistryMetrics, TlsOptions};
use process::http::{ClientOptions, client, guarded_client};

/// Returns a factory of clients that dial any address.
pub fn client_factory() -> Arc<dyn ClientFactory> {
    Arc::new(|tls: &TlsOptions| client(&client_options(tls)).map_err(BuildError::new))
}

/// Returns the options of a client with these TLS settings.
pub fn client_options(tls: &TlsOptions) -> ClientOptions {
    ClientOptions {
        ca_pem: tls.ca_pem.clone(),
        insecure_skip_verify: tls.insecure_skip_verify,
        identity_pem: tls.client_identity.as_ref().map(|pem| pem.expose().to_owned()),
        proxy: tls.proxy.as_ref().map(|proxy| proxy.expose().to_owned()),
        fresh: tls.fresh,
    }
}

/// Returns registries whose clients check the addresses that names resolve to.
pub fn guarded_registries(dial: Dial, counted: RegistryMetrics) -> Registries {
    let rule = dial.clone();
    let factory = move |tls: &TlsOptions| {
        let names = Arc::new(rule.for_client(tls));
        guarded_client(&client_options(tls), names).map_err(BuildError::new)
    };
    Registries::behind(dial, counted, Arc::new(factory))
}
