//! One row per open work item; a completed one has no row.

use sea_orm::entity::prelude::*;

/// Unclaimed; claimable from `run_at_ms` on.
pub(crate) const WAITING: &str = "waiting";
/// Claimed by `holder`.
pub(crate) const RUNNING: &str = "running";

/// A due time that never comes: the work item waits until [`crate::unpark`].
pub const PARKED: i64 = i64::MAX / 4;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "work")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub lane: String,
    pub kind: String,
    pub payload: String,
    pub state: String,
    pub holder: Option<String>,
    pub fence: i64,
    pub attempt: i32,
    pub priority: i32,
    pub run_at_ms: i64,
    pub created_ms: i64,
    pub trace: Option<String>,
    pub work_group: Option<String>,
    pub last_error: Option<String>,
    /// The key that takes turns with others.
    pub fair_key: Option<String>,
    /// The lowest pass is claimed first.
    pub pass: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
