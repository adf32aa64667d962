//! Removed peers. The highest number is the number of the list: it only grows, so no row is ever deleted.

use sea_orm::entity::prelude::*;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "removals")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub number: i64,
    pub peer_id: String,
    pub removed_ms: i64,
    /// Why, if the manager removed it by itself.
    pub reason: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn peer(&self) -> Result<Uuid, DamagedRow> {
        let row = RowName {
            table: "removals",
            id: &self.number,
        };
        row.uuid("peer_id", &self.peer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_peer_id_is_named() {
        let row = Model {
            number: 7,
            peer_id: "?!".to_owned(),
            removed_ms: 0,
            reason: None,
        };
        let damaged = DamagedRow::new("removals", "7".to_owned(), "peer_id", "?!");
        assert_eq!(row.peer(), Err(damaged));
    }
}
