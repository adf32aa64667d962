//! Peers that joined and whose certificate is valid or can still be renewed.

use sea_orm::entity::prelude::*;
use wire::ClusterName;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "members")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub peer_id: String,
    /// The join token that it used; none for the peer of the manager's own process.
    pub token_id: Option<String>,
    /// SHA-256 in hex of its public key.
    pub key_hash: String,
    pub cluster: String,
    pub seed: bool,
    pub joined_ms: i64,
    /// When it got its last certificate.
    pub renewed_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn row(&self) -> RowName<'_, String> {
        RowName {
            table: "members",
            id: &self.peer_id,
        }
    }

    pub(crate) fn peer(&self) -> Result<Uuid, DamagedRow> {
        self.row().uuid("peer_id", &self.peer_id)
    }

    pub(crate) fn cluster(&self) -> Result<ClusterName, DamagedRow> {
        self.row()
            .read("cluster", self.cluster.as_str(), |name| name.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_typed_column_names_its_damage() {
        let row = Model {
            peer_id: "?!".to_owned(),
            token_id: None,
            key_hash: String::new(),
            cluster: "a b".to_owned(),
            seed: true,
            joined_ms: 0,
            renewed_ms: 0,
        };
        let damaged = |column, value| Some(DamagedRow::new("members", "?!".to_owned(), column, value));
        assert_eq!(row.peer().err(), damaged("peer_id", "?!"));
        assert_eq!(row.cluster().err(), damaged("cluster", "a b"));
    }
}
