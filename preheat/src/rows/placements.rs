//! One object that one peer has to hold, for one preheat.

use sea_orm::entity::prelude::*;

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
    /// One of the words in [`state`].
    pub state: String,
    pub bytes_from_registry: i64,
    pub bytes_from_peers: i64,
    pub reason: Option<String>,
    pub side: Option<String>,
    /// It failed because its peer was away for too long.
    pub peer_left: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Words of `placements.state`. They sort as people want to read them: failures first.
pub(crate) mod state {
    pub(crate) const FAILED: &str = "failed";
    pub(crate) const OPEN: &str = "open";
    pub(crate) const VERIFIED: &str = "verified";
}
