//! One object that one peer has to hold, for one preheat.

use sea_orm::entity::prelude::*;
use wire::Side;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;
use crate::model::state::StoredPlacement;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "placements")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub preheat_id: i64,
    pub cluster_id: i64,
    pub peer_id: String,
    pub work_id: i64,
    pub digest: String,
    state: String,
    pub bytes_from_registry: i64,
    pub bytes_from_peers: i64,
    pub reason: Option<String>,
    side: Option<String>,
    /// It failed because its peer was disconnected for too long.
    pub peer_left: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn row(&self) -> RowName<'_, i64> {
        RowName {
            table: "placements",
            id: &self.id,
        }
    }

    pub(crate) fn state(&self) -> Result<StoredPlacement, DamagedRow> {
        self.row().read("state", self.state.as_str(), StoredPlacement::of)
    }

    pub(crate) fn side(&self) -> Result<Option<Side>, DamagedRow> {
        self.row().side(self.side.as_deref())
    }

    pub(crate) fn peer(&self) -> Result<Uuid, DamagedRow> {
        self.row().uuid("peer_id", &self.peer_id)
    }
}

pub(crate) const FAILED: &str = StoredPlacement::Failed.word();
pub(crate) const OPEN: &str = StoredPlacement::Open.word();
pub(crate) const VERIFIED: &str = StoredPlacement::Verified.word();
