//! Writes what the registry answered and the plan for it; or that the preheat waits for a seed, or follows an equal
//! preheat.
//!
//! **Invariant:** a follower has no objects of its own, and no preheat follows a follower.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    UpdateMany,
};
use serde_json::json;

use super::ask::{KnownImage, Resolution, ResolvedImage};
use super::share;
use super::share::SharedContent;
use crate::engine::step::Step;
use crate::image::find::FoundImage;
use crate::model::cluster_settings::SettingsByCluster;
use crate::model::limits::{Limits, milliseconds};
use crate::model::state::PreheatState;
use crate::model::webhook::WebhookEvent;
use crate::peers::seen;
use crate::plan::decide::NoSeed;
use crate::plan::{live_clusters, write};
use crate::rows::preheats::Column;
use crate::rows::{ROWS_AT_ONCE, objects, preheats, stored_size};
use crate::tell::notices::notify;

/// A preheat without a seed is planned again after this time.
const LOOK_AGAIN_MS: i64 = 2_000;

pub(super) async fn step(
    step: &mut Step<'_>,
    mut preheat: preheats::Model,
    answer: Option<Resolution>,
    trace: Option<String>,
    (limits, settings): (&Limits, &SettingsByCluster),
) -> Result<(), DbErr> {
    let (content, image) = match answer {
        Some(Resolution { content, image }) => (Some(content), Some(image)),
        None => (SharedContent::known(&preheat), None),
    };
    if image.is_some() {
        step.effects.surroundings_changed |= seen::saw_registry(step.txn, &preheat, step.now).await?;
    }
    let clusters = live_clusters::live_clusters_for(step.txn, &preheat).await?;
    if let Some(content) = &content {
        let key = content.and_place(&preheat, &clusters)?;
        if let Some(leader) = share::leader(step.txn, &preheat, &key).await? {
            follow(step.txn, &preheat, &leader, step.now).await?;
            return notify(step, &preheat, WebhookEvent::Resolved).await;
        }
        take(step.txn, &mut preheat, image, content, key, step.now).await?;
    }
    match write::place(step, &preheat, &clusters, trace, settings).await? {
        Ok(()) => Ok(()),
        Err(no_seed) => wait_for_seed(step.txn, &preheat, &no_seed, limits, step.now).await,
    }
}

/// Stores new findings, and the key by which equal preheats find them.
async fn take(
    txn: &DatabaseTransaction,
    preheat: &mut preheats::Model,
    image: Option<ResolvedImage>,
    content: &SharedContent,
    key: String,
    now: i64,
) -> Result<(), DbErr> {
    let facts = match image {
        Some(ResolvedImage::Found(found)) => {
            forget_objects(txn, preheat).await?;
            write_objects(txn, preheat.id, &found).await?;
            Some(ResolvedFacts::of_found(&found))
        }
        Some(ResolvedImage::Known(known)) => {
            forget_objects(txn, preheat).await?;
            Some(copy(txn, preheat, content, known).await?)
        }
        None => None,
    };
    let mut update = preheats::Entity::update_many()
        .col_expr(Column::ShareKey, Expr::value(key))
        .filter(Column::Id.eq(preheat.id));
    if let Some(facts) = facts {
        preheat.digest = Some(facts.digest.clone());
        update = facts
            .written(update)
            .col_expr(Column::ResolvedMs, Expr::value(now));
    }
    update.exec(txn).await.map(drop)
}

/// The columns of an image besides its objects.
struct ResolvedFacts {
    digest: String,
    media_type: Option<String>,
    public: bool,
    credential: Option<String>,
    count: i64,
    bytes: i64,
    notes: Option<String>,
}

impl ResolvedFacts {
    fn of_found(found: &FoundImage) -> Self {
        let notes = found.objects.notes();
        Self {
            digest: found.digest.to_string(),
            media_type: Some(found.media_type.clone()),
            public: found.public,
            credential: found.credential.clone(),
            count: i64::try_from(found.objects.objects().len()).unwrap_or(i64::MAX),
            bytes: stored_size(found.objects.bytes()),
            notes: (!notes.is_empty()).then(|| json!(notes).to_string()),
        }
    }

    fn written(self, update: UpdateMany<preheats::Entity>) -> UpdateMany<preheats::Entity> {
        update
            .col_expr(Column::Digest, Expr::value(self.digest))
            .col_expr(Column::MediaType, Expr::value(self.media_type))
            .col_expr(Column::Public, Expr::value(self.public))
            .col_expr(Column::Credential, Expr::value(self.credential))
            .col_expr(Column::ObjectsTotal, Expr::value(self.count))
            .col_expr(Column::ImageBytes, Expr::value(self.bytes))
            .col_expr(Column::Notes, Expr::value(self.notes))
    }
}

/// Copies the objects of an equal preheat. If they were deleted meanwhile, the registry is asked again.
async fn copy(
    txn: &DatabaseTransaction,
    preheat: &preheats::Model,
    content: &SharedContent,
    known: KnownImage,
) -> Result<ResolvedFacts, DbErr> {
    let source = share::source(txn, preheat, content).await?;
    let source = source.ok_or_else(|| {
        DbErr::Custom("what was known of the image has just been forgotten; it is asked for anew".to_owned())
    })?;
    let rows = objects::Entity::find()
        .filter(objects::Column::PreheatId.eq(source.id))
        .all(txn)
        .await?;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().cloned().map(|row| {
            let mut row = row.into_active_model();
            row.preheat_id = Set(preheat.id);
            row.reset_all()
        });
        objects::Entity::insert_many(rows)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(ResolvedFacts {
        digest: known.digest.to_string(),
        media_type: source.media_type,
        public: known.public,
        credential: known.credential,
        count: source.objects_total,
        bytes: source.image_bytes,
        notes: source.notes,
    })
}

/// Deletes the objects of an earlier resolve of this preheat.
async fn forget_objects(txn: &DatabaseTransaction, preheat: &preheats::Model) -> Result<(), DbErr> {
    if preheat.objects_total == 0 {
        return Ok(());
    }
    objects::Entity::delete_many()
        .filter(objects::Column::PreheatId.eq(preheat.id))
        .exec(txn)
        .await
        .map(drop)
}

/// Lets an equal one do the work.
async fn follow(
    txn: &DatabaseTransaction,
    preheat: &preheats::Model,
    leader: &preheats::Model,
    now: i64,
) -> Result<(), DbErr> {
    forget_objects(txn, preheat).await?;
    let none = || Expr::value(None::<i64>);
    preheats::Entity::update_many()
        .col_expr(Column::Follows, Expr::value(leader.id))
        .col_expr(Column::ShareKey, Expr::value(leader.share_key.clone()))
        .col_expr(Column::State, Expr::value(PreheatState::Placing.word()))
        .col_expr(Column::Reason, Expr::value(None::<String>))
        .col_expr(Column::Digest, Expr::value(leader.digest.clone()))
        .col_expr(Column::MediaType, Expr::value(leader.media_type.clone()))
        .col_expr(Column::Public, Expr::value(leader.public))
        .col_expr(Column::ObjectsTotal, Expr::value(leader.objects_total))
        .col_expr(Column::ImageBytes, Expr::value(leader.image_bytes))
        .col_expr(Column::Notes, Expr::value(leader.notes.clone()))
        .col_expr(Column::ResolvedMs, Expr::value(now))
        .col_expr(Column::NoSeedDeadlineMs, none())
        .col_expr(Column::SeedCheckMs, none())
        .col_expr(Column::UpdatedMs, Expr::value(now))
        .filter(Column::Id.eq(preheat.id))
        .exec(txn)
        .await
        .map(drop)
}

async fn write_objects(txn: &DatabaseTransaction, preheat: i64, found: &FoundImage) -> Result<(), DbErr> {
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
            bytes: Set(object.bytes.as_ref().map(|bytes| bytes.to_vec())),
        });
        objects::Entity::insert_many(rows)
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}

async fn wait_for_seed(
    txn: &DatabaseTransaction,
    preheat: &preheats::Model,
    no_seed: &NoSeed,
    limits: &Limits,
    now: i64,
) -> Result<(), DbErr> {
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
