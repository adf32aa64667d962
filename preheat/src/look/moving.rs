//! The bytes that move for a preheat right now, as its peers last reported.

use std::collections::HashMap;

use oci::RegistryName;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::rows::damaged::or_skip;
use crate::rows::{lots, progress};

/// Returns the bytes that peers have fetched for a preheat so far: (peer, digest) -> bytes.
pub(crate) async fn of_preheat(
    db: &impl ConnectionTrait,
    preheat: i64,
) -> Result<HashMap<(String, String), u64>, DbErr> {
    let mut moving = HashMap::new();
    for row in reports(db, preheat).await? {
        let report = or_skip(row.placements()).unwrap_or_default();
        for placement in report
            .into_iter()
            .filter(|placement| placement.preheat == preheat)
        {
            moving.insert((row.peer_id.clone(), placement.digest), placement.bytes_done);
        }
    }
    Ok(moving)
}

/// Returns what an open preheat waits for: its registry allows the peers that work on it only so many requests at once.
pub(crate) async fn waits_for(
    db: &impl ConnectionTrait,
    preheat: i64,
    registry: &RegistryName,
) -> Result<Option<String>, DbErr> {
    let rows = reports(db, preheat).await?;
    let widths = rows.iter().filter_map(|row| or_skip(row.widths())).flatten();
    let of_registry = widths.filter(|width| width.registry == registry.as_str());
    let narrowest = of_registry.map(|width| width.at_once).min();
    Ok(narrowest.map(|at_once| format!("registry allows {at_once} at once")))
}

/// Returns the last reports of the peers that work on a preheat.
async fn reports(db: &impl ConnectionTrait, preheat: i64) -> Result<Vec<progress::Model>, DbErr> {
    let taken = Query::select()
        .column(lots::Column::PeerId)
        .from(lots::Entity)
        .cond_where(
            Condition::all()
                .add(lots::Column::PreheatId.eq(preheat))
                .add(lots::Column::Open.gt(0))
                .add(lots::Column::Session.is_not_null()),
        )
        .to_owned();
    progress::Entity::find()
        .filter(progress::Column::PeerId.in_subquery(taken))
        .all(db)
        .await
}
