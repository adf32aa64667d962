//! Join tokens by id; of the secret only its hash is stored.

use sea_orm::entity::prelude::*;
use wire::ClusterName;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "join_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// SHA-256 in hex.
    pub secret_hash: String,
    pub seed: bool,
    pub cluster: String,
    /// How many peers may join with it; none: any number.
    pub joins: Option<i64>,
    pub joined: i64,
    pub per_minute: i64,
    /// The one peer that joins with it, under this uuid.
    pub peer_id: Option<String>,
    pub created_ms: i64,
    pub expires_ms: i64,
    pub revoked_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn row(&self) -> RowName<'_, String> {
        RowName {
            table: "join_tokens",
            id: &self.id,
        }
    }

    pub(crate) fn cluster(&self) -> Result<ClusterName, DamagedRow> {
        self.row()
            .read("cluster", self.cluster.as_str(), |name| name.parse().ok())
    }

    /// The one peer that may join with it.
    pub(crate) fn peer(&self) -> Result<Option<Uuid>, DamagedRow> {
        let peer = self.peer_id.as_deref();
        peer.map(|peer| self.row().uuid("peer_id", peer)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_typed_column_names_its_damage() {
        let row = Model {
            id: "t".to_owned(),
            secret_hash: String::new(),
            seed: true,
            cluster: "a b".to_owned(),
            joins: None,
            joined: 0,
            per_minute: 1,
            peer_id: Some("?!".to_owned()),
            created_ms: 0,
            expires_ms: 0,
            revoked_ms: None,
        };
        let damaged = |column, value| Some(DamagedRow::new("join_tokens", "t".to_owned(), column, value));
        assert_eq!(row.cluster().err(), damaged("cluster", "a b"));
        assert_eq!(row.peer().err(), damaged("peer_id", "?!"));
    }
}
