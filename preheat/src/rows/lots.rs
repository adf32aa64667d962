//! What one peer has to hold for one preheat and stage: one work item of the queue, whose id this row shares.
//!
//! Rows live as long as their preheat is open. A lot that is not `expanded` stands for every object of the
//! preheat (`all_peers`): its placements are written when the peer takes it.

use sea_orm::entity::prelude::*;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;
use crate::model::stage::Stage;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lots")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub work_id: i64,
    pub preheat_id: i64,
    pub cluster_id: i64,
    pub peer_id: String,
    pub stage: i32,
    /// Placements that have not settled.
    pub open: i64,
    pub expanded: bool,
    /// The session that took it last, and its fence.
    pub session: Option<String>,
    pub fence: Option<i64>,
    pub taken_ms: Option<i64>,
    /// The peer has confirmed that it received the lot.
    pub confirmed: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn row(&self) -> RowName<'_, i64> {
        RowName {
            table: "lots",
            id: &self.work_id,
        }
    }

    pub(crate) fn stage(&self) -> Result<Stage, DamagedRow> {
        self.row().read("stage", &self.stage, |number| Stage::of(*number))
    }

    pub(crate) fn peer(&self) -> Result<Uuid, DamagedRow> {
        self.row().uuid("peer_id", &self.peer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_typed_column_names_its_damage() {
        let row = Model {
            work_id: 7,
            preheat_id: 1,
            cluster_id: 1,
            peer_id: "?!".to_owned(),
            stage: 9,
            open: 1,
            expanded: true,
            session: None,
            fence: None,
            taken_ms: None,
            confirmed: false,
        };
        let damaged = |column, value| Some(DamagedRow::new("lots", "7".to_owned(), column, value));
        assert_eq!(row.peer().err(), damaged("peer_id", "?!"));
        assert_eq!(row.stage().err(), damaged("stage", "9"));
    }
}
