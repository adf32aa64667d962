//! The number of work items by kind and state, and the age of the oldest.
//!
//! Two grouped queries over the whole table: suitable every few seconds, not for every request.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, Select};

use crate::rows::work::{Column, Entity, PARKED, WAITING};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkState {
    /// Claimable now or after a delay.
    Waiting,
    Running,
    /// Waits for [`crate::unpark`].
    Parked,
}

/// The work items of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    pub kind: String,
    pub state: WorkState,
    pub count: i64,
    /// When the oldest was enqueued.
    pub oldest_ms: i64,
}

/// Returns the depths; leaves out kinds and states without work items.
pub async fn depths(db: &impl ConnectionTrait) -> Result<Vec<Depth>, DbErr> {
    let moving = grouped().filter(Column::RunAtMs.lt(PARKED));
    let parked = grouped().filter(Column::RunAtMs.gte(PARKED));
    let mut depths = Vec::new();
    for (of, is_parked) in [(moving, false), (parked, true)] {
        let rows: Vec<(String, String, i64, i64)> = of.into_tuple().all(db).await?;
        depths.extend(rows.into_iter().map(|(kind, state, count, oldest_ms)| Depth {
            kind,
            state: state_of(&state, is_parked),
            count,
            oldest_ms,
        }));
    }
    Ok(depths)
}

fn grouped() -> Select<Entity> {
    Entity::find()
        .select_only()
        .columns([Column::Kind, Column::State])
        .column_as(Column::Id.count(), "works")
        .column_as(Column::CreatedMs.min(), "oldest")
        .group_by(Column::Kind)
        .group_by(Column::State)
}

fn state_of(word: &str, is_parked: bool) -> WorkState {
    match (word == WAITING, is_parked) {
        (true, true) => WorkState::Parked,
        (true, false) => WorkState::Waiting,
        (false, _) => WorkState::Running,
    }
}
