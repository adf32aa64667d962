//! The bytes that one peer has fetched of each placement that it works on; overwritten by each report.

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
    report: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_report_is_named() {
        let row = Model {
            peer_id: "p".to_owned(),
            session: String::new(),
            report: "?!".to_owned(),
            updated_ms: 0,
        };
        let damaged = DamagedRow::new("progress", "p".to_owned(), "report", "?!");
        assert_eq!(row.placements().err(), Some(damaged));
    }
}
