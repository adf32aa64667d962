//! The bytes that one peer has fetched of each placement that it works on; overwritten by each report.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use wire::{PlacementProgress, RegistryWidth};

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
        Ok(match self.read()? {
            Stored::Placements(placements) | Stored::Whole { placements, .. } => placements,
        })
    }

    /// How many requests at once registries allow this peer.
    pub(crate) fn widths(&self) -> Result<Vec<RegistryWidth>, DamagedRow> {
        Ok(match self.read()? {
            Stored::Placements(_) => Vec::new(),
            Stored::Whole { widths, .. } => widths,
        })
    }

    fn read(&self) -> Result<Stored, DamagedRow> {
        let row = RowName {
            table: "progress",
            id: &self.peer_id,
        };
        row.json("report", &self.report)
    }
}

/// Returns the column's text.
pub(crate) fn stored(placements: Vec<PlacementProgress>, widths: Vec<RegistryWidth>) -> String {
    let stored = Stored::Whole { placements, widths };
    serde_json::json!(stored).to_string()
}

/// What the column holds.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    /// As older versions wrote it.
    Placements(Vec<PlacementProgress>),
    Whole {
        placements: Vec<PlacementProgress>,
        widths: Vec<RegistryWidth>,
    },
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
