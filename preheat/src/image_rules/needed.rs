//! The objects of an image that other images need too.

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, Func};
use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect};

use super::kinds::RECALL;
use crate::engine::preheater::Inner;
use crate::model::errors::StorageError;
use crate::model::state::PreheatState;
use crate::rows::{VALUES_AT_ONCE, image_rules, objects, preheats};

/// Returns the digests that another image needs: its manifest is none of `own`, a preheat of it has not failed, and it
/// was not removed since.
pub(super) async fn needed_by_others(
    inner: &Inner,
    digests: &[String],
    own: &[String],
) -> Result<HashSet<String>, StorageError> {
    let recalled = recalled(inner).await?;
    let is_gone = |root: &str, last_ms: i64| {
        recalled
            .iter()
            .any(|(digest, at_ms)| digest == root && *at_ms >= last_ms)
    };
    let mut needed = HashSet::new();
    for digests in digests.chunks(VALUES_AT_ONCE) {
        for (digest, root, last_ms) in needing(inner, digests).await? {
            if !own.contains(&root) && !is_gone(&root, last_ms) {
                needed.insert(digest);
            }
        }
    }
    Ok(needed)
}

/// Returns each object with the manifest of an image that needs it, and the time of its last preheat.
async fn needing(inner: &Inner, digests: &[String]) -> Result<Vec<(String, String, i64)>, StorageError> {
    let preheat = objects::Entity::belongs_to(preheats::Entity)
        .from(objects::Column::PreheatId)
        .to(preheats::Column::Id)
        .into();
    let failed = [PreheatState::Failed.word(), PreheatState::Cancelled.word()];
    let last = Func::max(Expr::col((preheats::Entity, preheats::Column::CreatedMs)));
    let rows = objects::Entity::find()
        .select_only()
        .column(objects::Column::Digest)
        .column_as(preheats::Column::Digest, "root")
        .column_as(Expr::expr(last), "last_ms")
        .join(JoinType::InnerJoin, preheat)
        .filter(objects::Column::Digest.is_in(digests))
        .filter(preheats::Column::Digest.is_not_null())
        .filter(preheats::Column::State.is_not_in(failed))
        .group_by(objects::Column::Digest)
        .group_by(preheats::Column::Digest)
        .into_tuple()
        .all(inner.reads())
        .await?;
    Ok(rows)
}

/// Returns the manifests of removed images, and the times of the removals.
async fn recalled(inner: &Inner) -> Result<Vec<(String, i64)>, StorageError> {
    let rows = image_rules::Entity::find()
        .select_only()
        .columns([image_rules::Column::Digest, image_rules::Column::CreatedMs])
        .filter(image_rules::Column::Kind.eq(RECALL))
        .filter(image_rules::Column::Digest.is_not_null())
        .into_tuple()
        .all(inner.reads())
        .await?;
    Ok(rows)
}
