//! Registries that preheats named: fronts may dial them.
//!
//! **Invariant:** a registry that no preheat named for 90 days is deleted; of more than 1,000, those named longest
//! ago.

use queue::Urgency;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use crate::engine::preheater::Inner;
use crate::model::errors::StorageError;
use crate::rows::seen_registries::{ActiveModel, Column, Entity, Model};
use crate::rows::{VALUES_AT_ONCE, preheats};

/// The number of registries that are kept and sent to peers.
const MOST: u64 = 1_000;
const DAY_MS: i64 = 86_400_000;
const KEEP_MS: i64 = 90 * DAY_MS;

/// Returns the registries to send to a peer, by name.
pub(crate) async fn list(db: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    let newest = Entity::find()
        .order_by_desc(Column::NamedMs)
        .order_by_asc(Column::Name);
    let mut seen = newest.limit(MOST).all(db).await?;
    seen.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(seen)
}

/// Records that a preheat found an image at this registry. Returns whether the registry is new.
pub(crate) async fn saw_registry(
    txn: &impl ConnectionTrait,
    preheat: &preheats::Model,
    now: i64,
) -> Result<bool, DbErr> {
    let known = Entity::find_by_id(&preheat.registry).one(txn).await?;
    let known_plain = known.as_ref().map(|known| known.plain_http);
    let news = newly_seen(known_plain, preheat.plain_http);
    let named_ms = known.and_then(|known| known.named_ms);
    // Once a day is often enough for 90 days.
    if news.is_none() && named_ms.is_some_and(|named| now - named < DAY_MS) {
        return Ok(false);
    }
    let row = ActiveModel {
        name: Set(preheat.registry.clone()),
        plain_http: Set(news.or(known_plain).unwrap_or(preheat.plain_http)),
        named_ms: Set(Some(now)),
    };
    let newest = OnConflict::column(Column::Name)
        .update_columns([Column::PlainHttp, Column::NamedMs])
        .to_owned();
    Entity::insert(row)
        .on_conflict(newest)
        .exec_without_returning(txn)
        .await
        .map(|_| news.is_some())
}

/// Deletes registries that are too old or too many. Counts first, so that it writes only if it has to.
pub(crate) async fn sweep(inner: &Inner) -> Result<(), StorageError> {
    let now = inner.now_ms();
    if !is_due(inner.reads(), now).await? {
        return Ok(());
    }
    let forgotten = inner
        .write(Urgency::Background, move |txn| Box::pin(forget(txn, now)))
        .await?;
    if forgotten > 0 {
        tracing::debug!(registries = forgotten, "registries forgotten");
        inner.surroundings_changed();
    }
    Ok(())
}

async fn is_due(db: &impl ConnectionTrait, now: i64) -> Result<bool, DbErr> {
    let old_or_undated = Condition::any()
        .add(Column::NamedMs.is_null())
        .add(Column::NamedMs.lte(now - KEEP_MS));
    let some = Entity::find().filter(old_or_undated).limit(1);
    Ok(some.count(db).await? > 0 || Entity::find().count(db).await? > MOST)
}

async fn forget(txn: &DatabaseTransaction, now: i64) -> Result<u64, DbErr> {
    // Rows of the program before this one count from now.
    Entity::update_many()
        .col_expr(Column::NamedMs, Expr::value(now))
        .filter(Column::NamedMs.is_null())
        .exec(txn)
        .await?;
    let old = Entity::delete_many().filter(Column::NamedMs.lte(now - KEEP_MS));
    let mut forgotten = old.exec(txn).await?.rows_affected;
    let beyond: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Name)
        .order_by_desc(Column::NamedMs)
        .order_by_asc(Column::Name)
        .offset(MOST)
        .limit(MOST)
        .into_tuple()
        .all(txn)
        .await?;
    for names in beyond.chunks(VALUES_AT_ONCE) {
        let excess = Entity::delete_many().filter(Column::Name.is_in(names));
        forgotten += excess.exec(txn).await?.rows_affected;
    }
    Ok(forgotten)
}

/// Whether a registry counts as one with plain HTTP only, if that is news. HTTPS once seen is never downgraded: nodes
/// would send their callers' passwords in clear because of one preheat.
fn newly_seen(known_plain: Option<bool>, named_plain: bool) -> Option<bool> {
    match known_plain {
        None => Some(named_plain),
        Some(true) if !named_plain => Some(false),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::newly_seen;

    #[test]
    fn https_once_seen_is_never_downgraded() {
        assert_eq!(newly_seen(None, true), Some(true));
        assert_eq!(newly_seen(Some(true), false), Some(false), "upgraded");
        assert_eq!(
            newly_seen(Some(false), true),
            None,
            "one preheat by http:// changes nothing"
        );
        assert_eq!(
            (newly_seen(None, false), newly_seen(Some(true), true)),
            (Some(false), None)
        );
    }
}
