//! One registry with its connections, tokens and limits.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::connection_slots::ConnectionSlots;
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
}

pub(super) struct RegistryInner {
    pub(super) settings: RegistrySettings,
    /// Ends with `/v2/`.
    pub(super) base: Url,
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
        })
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
