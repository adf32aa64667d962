//! Writes what was found at the registry, and the plan for it, or that the preheat waits for a seed.

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};

use super::find::Found;
use crate::cluster_settings::SettingsByCluster;
use crate::ledger::Effects;
use crate::limits::{Limits, milliseconds};
use crate::plan::NoSeed;
use crate::rows::{ROWS_AT_ONCE, objects, preheats, stored_size};
use crate::views::PreheatState;
use crate::{neighbourhood, placing};

/// How soon a preheat without a seed is planned anew.
const LOOK_AGAIN_MS: i64 = 2_000;

pub(super) async fn step(
    txn: &DatabaseTransaction,
    mut preheat: preheats::Model,
    found: Option<Found>,
    trace: Option<String>,
    (limits, settings): (&Limits, &SettingsByCluster),
    now: i64,
    effects: &mut Effects,
) -> Result<(), DbErr> {
    if let Some(found) = found {
        write_objects(txn, preheat.id, &found).await?;
        write_found(txn, preheat.id, &found, now).await?;
        effects.surroundings_changed |= neighbourhood::saw_registry(txn, &preheat).await?;
        preheat.digest = Some(found.digest.to_string());
    }
    match placing::place(txn, &preheat, trace, settings, now, effects).await? {
        Ok(()) => Ok(()),
        Err(no_seed) => wait_for_seed(txn, &preheat, &no_seed, limits, now).await,
    }
}

async fn write_objects(txn: &DatabaseTransaction, preheat: i64, found: &Found) -> Result<(), DbErr> {
    let objects: Vec<_> = found.objects.objects().iter().collect();
    for objects in objects.chunks(ROWS_AT_ONCE) {
        let rows = objects.iter().map(|(digest, object)| objects::ActiveModel {
            preheat_id: Set(preheat),
            digest: Set(digest.to_string()),
            class: Set(object.class as i32),
            media_type: Set(object.media_type.clone()),
            size: Set(stored_size(object.size)),
            platform: Set(object
                .platform
                .as_ref()
                .map(|platform| platform.to_string().chars().take(100).collect())),
        });
        objects::Entity::insert_many(rows)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}

async fn write_found(txn: &DatabaseTransaction, preheat: i64, found: &Found, now: i64) -> Result<(), DbErr> {
    use preheats::Column;
    let count = i64::try_from(found.objects.objects().len()).unwrap_or(i64::MAX);
    preheats::Entity::update_many()
        .col_expr(Column::Digest, Expr::value(found.digest.to_string()))
        .col_expr(Column::MediaType, Expr::value(found.media_type.clone()))
        .col_expr(Column::Public, Expr::value(found.public))
        .col_expr(Column::Credential, Expr::value(found.credential.clone()))
        .col_expr(Column::ObjectsTotal, Expr::value(count))
        .col_expr(
            Column::ImageBytes,
            Expr::value(stored_size(found.objects.bytes())),
        )
        .col_expr(Column::ResolvedMs, Expr::value(now))
        .filter(Column::Id.eq(preheat))
        .exec(txn)
        .await
        .map(drop)
}

async fn wait_for_seed(
    txn: &DatabaseTransaction,
    preheat: &preheats::Model,
    no_seed: &NoSeed,
    limits: &Limits,
    now: i64,
) -> Result<(), DbErr> {
    use preheats::Column;
    let until = preheat
        .no_seed_deadline_ms
        .unwrap_or(now + milliseconds(limits.no_seed_limit));
    preheats::Entity::update_many()
        .col_expr(Column::State, Expr::value(PreheatState::Resolving.word()))
        .col_expr(
            Column::Reason,
            Expr::value(format!("waits for {}", lacking(no_seed))),
        )
        .col_expr(Column::NoSeedDeadlineMs, Expr::value(until))
        .col_expr(Column::SeedCheckMs, Expr::value(now + LOOK_AGAIN_MS))
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .filter(Column::Id.eq(preheat.id))
        .exec(txn)
        .await
        .map(drop)
}

/// `a live seed peer in cluster edge`
fn lacking(no_seed: &NoSeed) -> String {
    match no_seed.clusters.as_slice() {
        [] => "a live seed peer in any cluster".to_owned(),
        names => format!("a live seed peer in cluster {}", names.join(", ")),
    }
}
