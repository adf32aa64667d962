//! A preheat: one image, to be placed on the peers of its scope.

use std::collections::BTreeMap;
use std::time::Duration;

use oci::Platform;
use sea_orm::entity::prelude::*;
use wire::Side;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;
use crate::model::labels::Labels;
use crate::model::peer_choice::PeerChoice;
use crate::model::request::Requester;
use crate::model::scope::{ClusterChoice, Scope};
use crate::model::state::PreheatState;
use crate::model::webhook::WantedNotices;

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
    /// Tag or digest: the last part of the manifest's URL.
    pub reference: String,
    pub tag: Option<String>,
    scope: String,
    clusters: String,
    platforms: String,
    asked_by: String,
    pub created_by: Option<String>,
    pub trace: Option<String>,
    state: String,
    pub reason: Option<String>,
    side: Option<String>,
    pub digest: Option<String>,
    pub media_type: Option<String>,
    pub public: bool,
    /// Names the credential that peers fetch; none means anonymous.
    pub credential: Option<String>,
    /// When the registry returned the digest of the reference.
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
    /// How many peers may leave, by cluster id, as JSON; none: no peer may.
    tolerated_absent: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub finished_ms: Option<i64>,
    /// When it fails unless it has ended; none once it has.
    pub deadline_ms: Option<i64>,
    /// When it fails without a seed, and when to look for a seed again; none unless it waits for one.
    pub no_seed_deadline_ms: Option<i64>,
    pub seed_check_ms: Option<i64>,
    /// JSON of a [`crate::PeerChoice`]; none: all.
    peer_choice: Option<String>,
    pub priority: i32,
    /// As the request states; none: the configured limit.
    pub time_limit_ms: Option<i64>,
    pub referrers: Option<bool>,
    /// The request had a credential for the registry, which is deleted when the preheat ends.
    pub had_credential: bool,
    /// The id of the message that requested it.
    pub delivery: Option<String>,
    /// The key by which callers and projects take turns.
    pub fair_key: Option<String>,
    /// The leader: an open preheat whose work this one shares.
    pub follows: Option<i64>,
    /// Equal for preheats that can share their work; known once the reference is resolved.
    pub share_key: Option<String>,
    /// 1 at first, one more with each retry.
    pub attempt: i64,
    /// JSON list of notes for readers, such as a layer that was left out, and why.
    pub notes: Option<String>,
    /// When the present attempt was requested; none for the first one.
    pub retried_ms: Option<i64>,
    /// JSON of [`crate::model::webhook::WantedNotices`]: its receivers with their events.
    pub tells: Option<String>,
    /// JSON of [`crate::Labels`]; none: there are none.
    labels: Option<String>,
}

impl Model {
    /// Returns when the present attempt was requested.
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

impl Model {
    fn row(&self) -> RowName<'_, i64> {
        RowName {
            table: "preheats",
            id: &self.id,
        }
    }

    pub(crate) fn state(&self) -> Result<PreheatState, DamagedRow> {
        self.row().read("state", self.state.as_str(), PreheatState::of)
    }

    pub(crate) fn scope(&self) -> Result<Scope, DamagedRow> {
        self.row().read("scope", self.scope.as_str(), Scope::of)
    }

    pub(crate) fn clusters(&self) -> Result<ClusterChoice, DamagedRow> {
        self.row().json("clusters", &self.clusters)
    }

    /// The platforms that the request names; empty: all.
    pub(crate) fn platforms(&self) -> Result<Vec<Platform>, DamagedRow> {
        self.row().json("platforms", &self.platforms)
    }

    pub(crate) fn requester(&self) -> Result<Requester, DamagedRow> {
        self.row().read("asked_by", self.asked_by.as_str(), Requester::of)
    }

    pub(crate) fn side(&self) -> Result<Option<Side>, DamagedRow> {
        self.row().side(self.side.as_deref())
    }

    pub(crate) fn peer_choice(&self) -> Result<PeerChoice, DamagedRow> {
        let choice = self
            .row()
            .optional_json("peer_choice", self.peer_choice.as_deref())?;
        Ok(choice.unwrap_or_default())
    }

    /// How many peers may leave, by cluster id.
    pub(crate) fn tolerated_absent(&self) -> Result<BTreeMap<i64, u32>, DamagedRow> {
        let tolerated = self
            .row()
            .optional_json("tolerated_absent", self.tolerated_absent.as_deref())?;
        Ok(tolerated.unwrap_or_default())
    }

    pub(crate) fn notes(&self) -> Result<Vec<String>, DamagedRow> {
        let notes = self.row().optional_json("notes", self.notes.as_deref())?;
        Ok(notes.unwrap_or_default())
    }

    pub(crate) fn labels(&self) -> Result<Labels, DamagedRow> {
        let labels = self.row().optional_json("labels", self.labels.as_deref())?;
        Ok(Labels::stored(labels.unwrap_or_default()))
    }

    pub(crate) fn tells(&self) -> Result<WantedNotices, DamagedRow> {
        let tells = self.row().optional_json("tells", self.tells.as_deref())?;
        Ok(tells.unwrap_or_default())
    }

    /// The stored words that say where the image has to be: equal for preheats that may share their work.
    pub(crate) fn placing_key(&self) -> (&str, &str, Option<&str>) {
        (&self.scope, &self.clusters, self.peer_choice.as_deref())
    }

    /// The stored words that a notice repeats: scope, state, side and requester.
    pub(crate) fn noticed_words(&self) -> (&str, &str, Option<&str>, &str) {
        (&self.scope, &self.state, self.side.as_deref(), &self.asked_by)
    }
}

#[cfg(test)]
impl Model {
    /// A row for tests.
    pub(crate) fn example() -> Self {
        Self {
            id: 1,
            image: "h.lan/team/app:v1".to_owned(),
            registry: "h.lan".to_owned(),
            base_path: String::new(),
            plain_http: false,
            repository: "team/app".to_owned(),
            reference: "v1".to_owned(),
            tag: Some("v1".to_owned()),
            scope: "all_peers".to_owned(),
            clusters: String::new(),
            platforms: String::new(),
            asked_by: "api".to_owned(),
            created_by: None,
            trace: None,
            state: "succeeded".to_owned(),
            reason: None,
            side: None,
            digest: None,
            media_type: None,
            public: false,
            credential: None,
            resolved_ms: None,
            objects_total: 0,
            image_bytes: 0,
            bytes_total: 0,
            bytes_done: 0,
            placements_total: 0,
            placements_open: 0,
            placements_verified: 0,
            placements_failed: 0,
            placements_left: 0,
            tolerated_absent: None,
            created_ms: 0,
            updated_ms: 0,
            finished_ms: None,
            deadline_ms: None,
            no_seed_deadline_ms: None,
            seed_check_ms: None,
            peer_choice: None,
            priority: 0,
            time_limit_ms: None,
            referrers: None,
            had_credential: false,
            delivery: None,
            fair_key: None,
            follows: None,
            share_key: None,
            attempt: 1,
            notes: None,
            retried_ms: None,
            tells: None,
            labels: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_typed_column_names_its_damage() {
        let junk = || "?!".to_owned();
        let row = Model {
            scope: junk(),
            clusters: junk(),
            platforms: junk(),
            asked_by: junk(),
            state: junk(),
            side: Some(junk()),
            peer_choice: Some(junk()),
            tolerated_absent: Some(junk()),
            notes: Some(junk()),
            tells: Some(junk()),
            labels: Some(junk()),
            ..Model::example()
        };
        let found = [
            row.scope().err(),
            row.clusters().err(),
            row.platforms().err(),
            row.requester().err(),
            row.state().err(),
            row.side().err(),
            row.peer_choice().err(),
            row.tolerated_absent().err(),
            row.notes().err(),
            row.tells().err(),
            row.labels().err(),
        ];
        let columns = found.map(|damaged| {
            let damaged = damaged.expect("damaged");
            assert_eq!(
                (damaged.table, damaged.id.as_str(), damaged.value.as_str()),
                ("preheats", "1", "?!")
            );
            damaged.column
        });
        let all =
            "scope clusters platforms asked_by state side peer_choice tolerated_absent notes tells labels";
        assert_eq!(columns.join(" "), all);
    }

    #[test]
    fn a_sound_row_is_read() {
        let row = Model::example();
        assert!(row.scope().is_ok() && row.state().is_ok() && row.requester().is_ok());
        assert_eq!(row.peer_choice(), Ok(PeerChoice::All));
    }
}
