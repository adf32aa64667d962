//! A seed or node that has registered. Connected while it has a session.

use sea_orm::entity::prelude::*;

use super::damaged::RowName;
use crate::model::errors::DamagedRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "peers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: String,
    pub cluster_id: i64,
    pub seed: bool,
    pub share_url: String,
    pub address: String,
    /// Where its last hello came from.
    pub seen_ip: Option<String>,
    pub software: String,
    /// The id of its join token.
    pub token_id: Option<String>,
    pub session: Option<String>,
    pub last_seen_ms: i64,
    /// Since when it has no session, while it may still have work; none for a live peer and for one whose
    /// work has been dealt with.
    pub absent_since_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn row(&self) -> RowName<'_, String> {
        RowName {
            table: "peers",
            id: &self.id,
        }
    }

    pub(crate) fn uuid(&self) -> Result<Uuid, DamagedRow> {
        self.row().uuid("id", &self.id)
    }

    pub(crate) fn session(&self) -> Result<Option<Uuid>, DamagedRow> {
        let session = self.session.as_deref();
        session
            .map(|session| self.row().uuid("session", session))
            .transpose()
    }
}
