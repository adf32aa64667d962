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
    /// How many peers may join with it; none: as many as like.
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
