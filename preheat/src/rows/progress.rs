//! The bytes of everything that moves on one peer; overwritten by each report.

use sea_orm::entity::prelude::*;
use wire::PlacementProgress;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "progress")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub peer_id: String,
    pub session: String,
    pub report: String,
    pub updated_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn placements(&self) -> Result<Vec<PlacementProgress>, DamagedRow> {
        let row = RowName {
            table: "progress",
            id: &self.peer_id,
        };
        row.json("report", &self.report)
    }
}
