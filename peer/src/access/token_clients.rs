//! HTTP clients for token servers.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use process::http::{ClientError, guarded_client};

use clients::client_options;

/// One client for each way of checking certificates.
#[derive(Default)]
pub(super) struct TokenClients(Mutex<HashMap<oci::TlsOptions, reqwest::Client>>);

impl TokenClients {
    pub(super) fn get(
        &self,
        tls: &oci::TlsOptions,
        names: &oci::Dial,
    ) -> Result<reqwest::Client, ClientError> {
        let mut clients = self.0.lock();
        if let Some(client) = clients.get(tls) {
            return Ok(client.clone());
        }
        let made = guarded_client(&client_options(tls), Arc::new(names.for_client(tls)))?;
        clients.insert(tls.clone(), made.clone());
        Ok(made)
    }
}
