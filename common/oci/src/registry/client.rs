//! One registry with its connections, tokens and limits.

use std::sync::Arc;
use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use url::Url;

use super::connection_slots::ConnectionSlots;
use super::response::is_redirect;
use super::tokens::Tokens;
use super::widths::Widths;
use crate::clients::Clients;
use crate::dial::Dial;
use crate::harbors::Harbors;
use crate::metrics::RegistryMetrics;
use crate::settings::{RegistryLimits, RegistrySettings};
use crate::{RegistryError, RegistryName, RequestedObject};

/// One registry with its connections and tokens. Clones share them.
#[derive(Clone)]
pub struct Registry {
    pub(super) inner: Arc<RegistryInner>,
    /// How long one call may wait while the registry refuses by count.
    pub(super) patience: Option<Duration>,
    pub(super) counts_plain_503: bool,
}

pub(super) struct RegistryInner {
    pub(super) settings: RegistrySettings,
    /// As configured or named. Ends with `/v2/`.
    pub(super) base: Url,
    /// The same over HTTPS, once a registry on plain HTTP has redirected there.
    pub(super) moved: Mutex<Option<Url>>,
    pub(super) clients: Clients,
    pub(super) dial: Dial,
    pub(super) harbors: Harbors,
    pub(super) limits: RegistryLimits,
    pub(super) slots: ConnectionSlots,
    pub(super) widths: Widths,
    pub(super) tokens: Tokens,
    pub(super) metrics: RegistryMetrics,
}

/// What a registry shares with other registries, and keeps when its settings change.
pub(crate) struct RegistryParts {
    pub(crate) dial: Dial,
    pub(crate) harbors: Harbors,
    pub(crate) limits: RegistryLimits,
    pub(crate) slots: ConnectionSlots,
    pub(crate) widths: Widths,
    pub(crate) metrics: RegistryMetrics,
}

impl Registry {
    pub(crate) fn new(
        settings: RegistrySettings,
        base_path: &str,
        clients: Clients,
        parts: RegistryParts,
    ) -> Result<Self, RegistryError> {
        let scheme = if settings.plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{}{base_path}/v2/", settings.name.api_host());
        let base = Url::parse(&base).map_err(|cause| RegistryError::Setup {
            registry: settings.name.clone(),
            cause: format!("its address is unusable: {cause}"),
        })?;
        let RegistryParts {
            dial,
            harbors,
            limits,
            slots,
            widths,
            metrics,
        } = parts;
        let inner = RegistryInner {
            settings,
            base,
            moved: Mutex::default(),
            clients,
            dial,
            harbors,
            limits,
            slots,
            widths,
            tokens: Tokens::default(),
            metrics,
        };
        inner.metrics.expect(inner.base.host_str().unwrap_or_default());
        Ok(Self {
            inner: Arc::new(inner),
            patience: None,
            counts_plain_503: false,
        })
    }

    /// Returns how long to wait for the headers of one response.
    pub fn header_wait(&self) -> Duration {
        let usual = self.inner.limits.header_wait;
        self.inner.settings.header_wait.unwrap_or(usual)
    }

    /// Returns the same registry for work whose own limit ends a wait: a 503 that names no time counts as a refusal by
    /// count also while no other request is in flight, although it may be a failure.
    #[must_use]
    pub fn counting_plain_503(self) -> Self {
        Self {
            counts_plain_503: true,
            ..self
        }
    }

    /// Returns the same registry for work that may wait: where the registry refuses by count, one call waits up to
    /// `patience` for its turn. Without this, a refusal is the result at once.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience: Some(patience),
            ..self.clone()
        }
    }

    pub fn name(&self) -> &RegistryName {
        &self.inner.settings.name
    }

    /// Returns the URL to which requests go.
    pub(super) fn base(&self) -> Url {
        let moved = self.inner.moved.lock();
        moved.as_ref().unwrap_or(&self.inner.base).clone()
    }

    /// Whether a URL is the registry's own: of its origin, or of the one over HTTPS to which it moved.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        let moved = self.inner.moved.lock();
        let origins = [Some(&self.inner.base), moved.as_ref()].into_iter().flatten();
        origins.into_iter().any(|own| own.origin() == url.origin())
    }

    /// Notes that the registry redirected a request to HTTPS on the same host and path: later requests go there at
    /// once. Returns whether it did.
    pub(super) fn moves_to_https(&self, from: &Url, to: &Url) -> bool {
        let moves = from.origin() == self.inner.base.origin() && is_moved_to_https(from, to);
        if moves {
            let mut base = to.clone();
            base.set_path(self.inner.base.path());
            base.set_query(None);
            *self.inner.moved.lock() = Some(base);
        }
        moves
    }

    /// Starts at the configured URL again.
    pub(super) fn moves_back(&self) {
        *self.inner.moved.lock() = None;
    }

    /// Returns the registry's API host.
    pub(super) fn host(&self) -> &str {
        self.inner.base.host_str().unwrap_or_default()
    }

    pub(super) fn requested(&self, object: String) -> RequestedObject {
        RequestedObject {
            registry: self.name().clone(),
            object,
        }
    }
}

/// Returns the HTTPS URL to which a token server on plain HTTP redirected, if it is the same path of the same host.
pub fn moved_to_https(from: &Url, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(LOCATION).filter(|_| is_redirect(status))?;
    let mut to = from.join(location.to_str().ok()?).ok()?;
    // The query is added to each request anew.
    to.set_query(from.query());
    is_moved_to_https(from, &to).then_some(to)
}

/// Whether a redirect only changes HTTP to HTTPS, and perhaps the port.
fn is_moved_to_https(from: &Url, to: &Url) -> bool {
    let same = (from.host(), from.path(), from.query()) == (to.host(), to.path(), to.query());
    same && from.scheme() == "http"
        && to.scheme() == "https"
        && to.username().is_empty()
        && to.password().is_none()
}
