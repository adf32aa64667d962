//! The capabilities of the domain; every function of this crate takes a `Preheater` or its `Inner`.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use oci::DialRules;
use prometheus_client::registry::Registry;
use queue::{Bell, Clock, Database, GroupedWrite, Urgency};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr};
use wire::RegistryDescription;

use super::gauges::Gauges;
use super::metrics::PreheatMetrics;
use super::secret_box::{SealBroken, SecretBox};
use super::submission::{Submission, Submitted, write_all};
use crate::memory::clusters::KnownClusters;
use crate::memory::findings::KnownFindings;
use crate::memory::image_rules::KnownRules;
use crate::memory::neighbourhoods::KnownNeighbourhoods;
use crate::memory::questions::QuestionBoard;
use crate::memory::removals::KnownRemovals;
use crate::memory::sessions::KnownSessions;
use crate::memory::tokens::KnownTokens;
use crate::model::cluster_settings::{ClusterSettings, SettingsByCluster};
use crate::model::errors::StorageError;
use crate::model::limits::Limits;
use crate::model::trace_pages::TracePages;
use crate::model::webhook::Webhooks;

/// Everything that a [`Preheater`] needs.
pub struct Parts {
    pub db: Database,
    pub registries: oci::Registries,
    pub clock: Arc<dyn Clock>,
    /// Decrypts the credentials in the database; from a file that only the manager reads.
    pub secrets_key: [u8; 32],
    pub limits: Limits,
    /// The configured registries, as peers receive them.
    pub descriptions: Vec<RegistryDescription>,
    pub dial: DialRules,
    /// By name; other clusters have the defaults.
    pub clusters: BTreeMap<String, ClusterSettings>,
    pub trace_pages: TracePages,
    /// The receivers of notices.
    pub webhooks: Webhooks,
    /// Signs the records that peers pass on.
    pub signing: wire::SigningKey,
}

/// The domain's capabilities. A clone is the same one.
#[derive(Clone)]
pub struct Preheater {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) registries: oci::Registries,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bell: Bell,
    pub(crate) limits: Limits,
    pub(crate) secrets: SecretBox,
    pub(crate) submissions: GroupedWrite<Submission, Submitted>,
    pub(crate) descriptions: Vec<RegistryDescription>,
    pub(crate) dial: DialRules,
    /// Shared with writes, which run longer than the borrow of this struct.
    pub(crate) cluster_settings: Arc<SettingsByCluster>,
    pub(crate) trace_pages: TracePages,
    pub(crate) webhooks: Webhooks,
    pub(crate) metrics: PreheatMetrics,
    pub(crate) gauges: Gauges,
    pub(crate) clusters: KnownClusters,
    pub(crate) neighbourhoods: KnownNeighbourhoods,
    pub(crate) sessions: KnownSessions,
    pub(crate) signing: wire::SigningKey,
    pub(crate) removals: KnownRemovals,
    pub(crate) tokens: KnownTokens,
    pub(crate) image_rules: KnownRules,
    pub(crate) questions: QuestionBoard,
    pub(crate) findings: KnownFindings,
}

/// The key for sealed credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the manager's secrets key cannot be used: {0}")]
pub struct BadKey(SealBroken);

impl Preheater {
    pub fn new(parts: Parts) -> Result<Self, BadKey> {
        let Parts {
            db,
            registries,
            clock,
            secrets_key,
            limits,
            descriptions,
            dial,
            clusters,
            trace_pages,
            webhooks,
            signing,
        } = parts;
        let inner = Inner {
            db,
            registries,
            clock,
            bell: Bell::default(),
            limits,
            secrets: SecretBox::new(&secrets_key).map_err(BadKey)?,
            submissions: GroupedWrite::new(write_all),
            descriptions,
            dial,
            cluster_settings: Arc::new(clusters),
            trace_pages,
            webhooks,
            metrics: PreheatMetrics::default(),
            gauges: Gauges::default(),
            clusters: KnownClusters::default(),
            neighbourhoods: KnownNeighbourhoods::default(),
            sessions: KnownSessions::default(),
            signing,
            removals: KnownRemovals::default(),
            tokens: KnownTokens::default(),
            image_rules: KnownRules::default(),
            questions: QuestionBoard::default(),
            findings: KnownFindings::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Registers the metrics of preheats, of the database and of the registries.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let inner = &self.inner;
        inner.metrics.register(registry);
        registry.register_collector(Box::new(inner.gauges.clone()));
        inner.db.register_metrics(registry);
        inner.registries.metrics().register(registry);
    }

    /// Verifies what this manager signs.
    pub fn verifying_key(&self) -> wire::VerifyingKey {
        self.inner.signing.verifying_key()
    }

    /// The registries as they are configured.
    pub fn registries(&self) -> &oci::Registries {
        &self.inner.registries
    }

    /// For code in the same process that asks registries.
    pub fn registry_metrics(&self) -> &oci::RegistryMetrics {
        self.inner.registries.metrics()
    }
}

impl Inner {
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Wakes every peer that waits for work, so that it gets its new neighbourhood now.
    pub(crate) fn surroundings_changed(&self) {
        self.neighbourhoods.forget();
        self.bell.ring_all();
    }

    pub(crate) fn reads(&self) -> &DatabaseConnection {
        self.db.reads()
    }

    pub(crate) async fn write<T, F>(&self, urgency: Urgency, work: F) -> Result<T, StorageError>
    where
        F: for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<T, DbErr>> + Send + 'static,
        T: Send + 'static,
    {
        self.db.write(urgency, work).await.map_err(Into::into)
    }
}
