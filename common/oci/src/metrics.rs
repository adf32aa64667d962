//! Metrics of registries: requests, bytes, sign-ins.
//!
//! **Invariant:** the number of labels is bounded. Hosts come from outside (requests, redirects); after
//! [`KEPT_HOSTS`], new ones are counted as `other`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use strum::{IntoStaticStr, VariantArray};

use crate::RegistryError;

/// Hosts with their own label value.
const KEPT_HOSTS: usize = 64;
const OTHER: &str = "other";
/// Seconds; the last is the time limit for headers.
const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// There was no response.
const NO_STATUS: &str = "none";

/// The metrics of one [`crate::Registries`]. Clones share them.
#[derive(Clone)]
pub struct RegistryMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<HostLabels, Histogram, fn() -> Histogram>,
    bytes: Family<HostLabels, Counter>,
    sign_ins: Family<SignInLabels, Counter>,
    widths: Family<HostLabels, Gauge>,
    hosts: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    server_address: String,
    http_request_method: String,
    stoker_object: &'static str,
    http_response_status_code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostLabels {
    server_address: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignInLabels {
    server_address: String,
    outcome: &'static str,
}

/// The result of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SignedIn {
    Ok,
    /// The credential was not accepted.
    Refused,
    /// No response that says either.
    Failed,
}

impl SignedIn {
    pub(crate) fn after(error: &RegistryError) -> Self {
        match error {
            RegistryError::WrongCredential { .. }
            | RegistryError::CredentialEnded { .. }
            | RegistryError::Forbidden { .. } => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl Default for RegistryMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            bytes: Family::default(),
            sign_ins: Family::default(),
            widths: Family::default(),
            hosts: Arc::default(),
        }
    }
}

impl RegistryMetrics {
    /// Adds them to the metrics of the admin port.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "stoker_registry_requests",
            "Requests to registries, token servers and redirect targets; status none means no response",
            self.requests.clone(),
        );
        registry.register(
            "stoker_registry_request_duration_seconds",
            "Time until the headers of a response, or until the request failed",
            self.durations.clone(),
        );
        registry.register(
            "stoker_registry_bytes",
            "Bytes of bodies received from registries",
            self.bytes.clone(),
        );
        registry.register(
            "stoker_registry_sign_ins",
            "Sign-ins by outcome; a refusal of an anonymous request is not counted",
            self.sign_ins.clone(),
        );
        registry.register(
            "stoker_registry_width",
            "Requests at once that the registry allows, as its refusals showed; 0 where it refused none lately",
            self.widths.clone(),
        );
    }

    /// Creates the metrics of a registry at 0, before the first request.
    pub(crate) fn expect(&self, host: &str) {
        let server_address = self.label(host);
        self.bytes_of(&server_address);
        drop(self.widths.get_or_create(&HostLabels {
            server_address: server_address.clone(),
        }));
        drop(self.durations.get_or_create(&HostLabels {
            server_address: server_address.clone(),
        }));
        for stoker_object in ["manifest", "blob"] {
            for status in ["200", NO_STATUS] {
                drop(self.requests.get_or_create(&RequestLabels {
                    server_address: server_address.clone(),
                    http_request_method: "GET".to_owned(),
                    stoker_object,
                    http_response_status_code: status.to_owned(),
                }));
            }
        }
        for &how in SignedIn::VARIANTS {
            drop(self.sign_ins.get_or_create(&sign_in(&server_address, how)));
        }
    }

    pub(crate) fn answered(
        &self,
        host: &str,
        method: &http::Method,
        object: &'static str,
        status: Option<u16>,
        took: Duration,
    ) {
        let server_address = self.label(host);
        self.durations
            .get_or_create_owned(&HostLabels {
                server_address: server_address.clone(),
            })
            .observe(took.as_secs_f64());
        self.requests
            .get_or_create_owned(&RequestLabels {
                server_address,
                http_request_method: method.to_string(),
                stoker_object: object,
                http_response_status_code: status
                    .map_or_else(|| NO_STATUS.to_owned(), |status| status.to_string()),
            })
            .inc();
    }

    /// Shows how many requests at once a registry allows.
    pub(crate) fn allows(&self, host: &str, limit: Option<u32>) {
        let server_address = self.label(host);
        self.widths
            .get_or_create_owned(&HostLabels { server_address })
            .set(limit.unwrap_or_default().into());
    }

    /// Returns the byte counter of a host. Keep it while a body is read: a lookup per chunk would cost more.
    pub(crate) fn bytes_from(&self, host: &str) -> Counter {
        self.bytes_of(&self.label(host))
    }

    pub(crate) fn signed_in(&self, host: &str, how: SignedIn) {
        self.sign_ins
            .get_or_create_owned(&sign_in(&self.label(host), how))
            .inc();
    }

    fn bytes_of(&self, server_address: &str) -> Counter {
        self.bytes.get_or_create_owned(&HostLabels {
            server_address: server_address.to_owned(),
        })
    }

    fn label(&self, host: &str) -> String {
        let mut hosts = self.hosts.lock();
        if hosts.contains(host) {
            return host.to_owned();
        }
        if hosts.len() >= KEPT_HOSTS {
            return OTHER.to_owned();
        }
        hosts.insert(host.to_owned());
        host.to_owned()
    }
}

fn sign_in(server_address: &str, how: SignedIn) -> SignInLabels {
    SignInLabels {
        server_address: server_address.to_owned(),
        outcome: how.into(),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn shown(metrics: &RegistryMetrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn hosts_beyond_the_bound_share_one_label() {
        let metrics = RegistryMetrics::default();
        for number in 0..KEPT_HOSTS + 10 {
            metrics.signed_in(&format!("host-{number}"), SignedIn::Ok);
        }
        let text = shown(&metrics);
        assert!(
            text.contains("stoker_registry_sign_ins_total{server_address=\"other\",outcome=\"ok\"} 10"),
            "{text}"
        );
        assert!(!text.contains("host-64"), "{text}");
    }

    #[test]
    fn a_registry_without_requests_is_shown_with_zeros() {
        let metrics = RegistryMetrics::default();
        metrics.expect("registry.example.com");
        let text = shown(&metrics);
        for line in [
            "stoker_registry_bytes_total{server_address=\"registry.example.com\"} 0",
            "stoker_registry_sign_ins_total{server_address=\"registry.example.com\",outcome=\"refused\"} 0",
            "stoker_registry_requests_total{server_address=\"registry.example.com\",http_request_method=\"GET\",\
             stoker_object=\"blob\",http_response_status_code=\"none\"} 0",
            "stoker_registry_request_duration_seconds_count{server_address=\"registry.example.com\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
