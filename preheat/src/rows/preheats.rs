//! A job: one image, to be placed where its scope says.

use std::time::Duration;

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "preheats")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// For people: `harbor.example.com/library/nginx:1.27`.
    pub image: String,
    pub registry: String,
    pub base_path: String,
    pub plain_http: bool,
    pub repository: String,
    /// Tag or digest: what stands behind `/manifests/`.
    pub reference: String,
    pub tag: Option<String>,
    pub scope: String,
    pub clusters: String,
    pub platforms: String,
    pub asked_by: String,
    pub created_by: Option<String>,
    pub trace: Option<String>,
    pub state: String,
    pub reason: Option<String>,
    pub side: Option<String>,
    pub digest: Option<String>,
    pub media_type: Option<String>,
    pub public: bool,
    /// Names the credential that peers fetch; none means anonymous.
    pub credential: Option<String>,
    /// When the registry said what the reference means.
    pub resolved_ms: Option<i64>,
    pub objects_total: i64,
    /// Bytes of the image, each object once.
    pub image_bytes: i64,
    pub bytes_total: i64,
    pub bytes_done: i64,
    pub placements_total: i64,
    pub placements_open: i64,
    pub placements_verified: i64,
    pub placements_failed: i64,
    /// Those among the failed whose peer left.
    pub placements_left: i64,
    /// How many peers may leave, by cluster id, as JSON; none: nobody may.
    pub tolerated_absent: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub finished_ms: Option<i64>,
    /// When it fails unless it has ended; none once it has.
    pub deadline_ms: Option<i64>,
    /// When it fails for want of a seed, and when to look for one again; none unless it waits for one.
    pub no_seed_deadline_ms: Option<i64>,
    pub seed_check_ms: Option<i64>,
    /// JSON of a [`crate::PeerChoice`]; none: all.
    pub peer_choice: Option<String>,
    pub priority: i32,
    /// As asked for; none: the configured limit.
    pub time_limit_ms: Option<i64>,
    pub referrers: Option<bool>,
    /// The request brought a credential for the registry, which is gone once the preheat has ended.
    pub had_credential: bool,
    /// The message that asked for it.
    pub delivery: Option<String>,
    /// Callers and projects take turns.
    pub fair_key: Option<String>,
    /// The open preheat that does the work of this one too.
    pub follows: Option<i64>,
    /// Equal for those that can share the work; known once the reference is resolved.
    pub share_key: Option<String>,
    /// 1 at first, one more with each retry.
    pub attempt: i64,
    /// JSON list of what readers should know: a layer that was left out, and why.
    pub notes: Option<String>,
    /// When its present attempt was asked for; none for the first one.
    pub retried_ms: Option<i64>,
    /// JSON of [`crate::webhook::Tells`]: who has to be told of what.
    pub tells: Option<String>,
    /// JSON of [`crate::Labels`]; none: there are none.
    pub labels: Option<String>,
}

impl Model {
    /// When its present attempt was asked for.
    pub(crate) fn begun_ms(&self) -> i64 {
        self.retried_ms.unwrap_or(self.created_ms)
    }

    /// The limit that its request named.
    pub(crate) fn asked_limit(&self) -> Option<Duration> {
        let limit = u64::try_from(self.time_limit_ms?).ok()?;
        Some(Duration::from_millis(limit))
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
