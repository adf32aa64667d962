//! Creates, lists and deletes pins, blocks and removals.

use oci::{ImageReference, TagOrDigest};
use queue::Urgency;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};

use super::distribute;
use super::kinds::{BLOCK, PIN, RECALL};
use super::needed::needed_by_others;
use super::views::{ImageRule, RemovedImage, RuleError};
use crate::engine::preheater::{Inner, Preheater};
use crate::image::contents::{ImageObject, MadeOf, WhereError, made_of};
use crate::rows::damaged::or_skip;
use crate::rows::image_rules;

/// Recalls are deleted after this; a peer that was disconnected for longer misses them.
const RECALLS_KEPT_MS: i64 = 366 * 86_400_000;
const LONGEST_REASON: usize = 500;
/// One token may have a quarter of all pins: only it and administrators can remove them.
const PINS_OF_ONE: usize = wire::IMAGE_RULES / 4;

/// The kinds of rules that people make and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    Pin,
    Block,
}

impl RuleKind {
    fn word(self) -> &'static str {
        match self {
            Self::Pin => PIN,
            Self::Block => BLOCK,
        }
    }
}

/// The author of a rule, and the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// For people.
    pub by: String,
    /// The id of the token: only its holder and administrators can remove the rule.
    pub token: Option<String>,
    pub reason: Option<String>,
}

/// Keeps an image on the peers that have it, `until` a moment or for good.
pub async fn pin(
    preheater: &Preheater,
    image: &ImageReference,
    until_ms: Option<i64>,
    author: Author,
) -> Result<ImageRule, RuleError> {
    let inner = &preheater.inner;
    room_for_one(inner, PIN).await?;
    room_of_one(inner, author.token.as_deref()).await?;
    let made_of = made_of(inner, image).await?;
    let mut row = new_row(inner, PIN, image, Some(made_of.digest), author);
    row.digests = Set(json(&digests(&made_of.objects)));
    row.until_ms = Set(until_ms);
    let id = insert(inner, vec![row]).await?;
    distribute::changed(inner);
    one(inner, id).await
}

/// Removes an image from every peer, also from those that are disconnected now. `block` keeps it off.
pub async fn remove(
    preheater: &Preheater,
    image: &ImageReference,
    block: bool,
    author: Author,
) -> Result<RemovedImage, RuleError> {
    let inner = &preheater.inner;
    if block {
        room_for_one(inner, BLOCK).await?;
    }
    let made_of = known_or_named(inner, image, block).await?;
    let all = digests(&made_of.objects);
    let root = Some(made_of.digest).filter(|digest| !digest.is_empty());
    let blocked = distribute::blocked_roots(inner).await?;
    let own: Vec<String> = root.iter().cloned().chain(blocked).collect();
    let needed = needed_by_others(inner, &all, &own).await?;
    let gone: Vec<String> = all
        .iter()
        .filter(|digest| root.as_ref() == Some(digest) || !needed.contains(*digest))
        .cloned()
        .collect();
    let mut recall = new_row(inner, RECALL, image, root.clone(), author.clone());
    recall.digests = Set(json(&gone));
    let mut rows = vec![recall];
    if block {
        let mut row = new_row(inner, BLOCK, image, root.clone(), author);
        row.digests = Set(json(&all));
        rows.push(row);
    }
    insert(inner, rows).await?;
    distribute::changed(inner);
    tracing::info!(
        stoker.image = %image,
        stoker.digest = root,
        objects = gone.len(),
        blocked = block,
        "{image} is removed from every peer"
    );
    Ok(RemovedImage {
        image: image.to_string(),
        digest: root,
        objects: gone.len() as u64,
        shared: (all.len() - gone.len()) as u64,
        blocked: block,
    })
}

/// Newest first.
pub async fn list(preheater: &Preheater, kind: RuleKind) -> Result<Vec<ImageRule>, RuleError> {
    let inner = &preheater.inner;
    let rows = image_rules::Entity::find()
        .filter(image_rules::Column::Kind.eq(kind.word()))
        .order_by_desc(image_rules::Column::Id)
        .all(inner.reads())
        .await?;
    let now = inner.now_ms();
    let holds = |row: &image_rules::Model| row.until_ms.is_none_or(|until| until > now);
    let read = |row| or_skip(ImageRule::try_from(row));
    Ok(rows.into_iter().filter(holds).filter_map(read).collect())
}

/// Returns one rule, or none.
pub async fn find(preheater: &Preheater, kind: RuleKind, id: i64) -> Result<Option<ImageRule>, RuleError> {
    let row = image_rules::Entity::find_by_id(id)
        .filter(image_rules::Column::Kind.eq(kind.word()))
        .one(preheater.inner.reads())
        .await?;
    Ok(row.map(ImageRule::try_from).transpose()?)
}

/// Deletes a pin or block. Returns `false` if there is none with this id.
pub async fn lift(preheater: &Preheater, kind: RuleKind, id: i64) -> Result<bool, RuleError> {
    let inner = &preheater.inner;
    let delete = image_rules::Entity::delete_many()
        .filter(image_rules::Column::Id.eq(id))
        .filter(image_rules::Column::Kind.eq(kind.word()));
    let deleted = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { delete.exec(txn).await })
        })
        .await?;
    distribute::changed(inner);
    Ok(deleted.rows_affected == 1)
}

/// A block needs no objects: the name and the digest are enough.
async fn known_or_named(inner: &Inner, image: &ImageReference, block: bool) -> Result<MadeOf, RuleError> {
    match made_of(inner, image).await {
        Err(WhereError::NotKnown { .. }) if block || image.wanted.digest().is_some() => {
            let digest = image.wanted.digest().map(ToString::to_string).unwrap_or_default();
            Ok(MadeOf::only(digest))
        }
        other => Ok(other?),
    }
}

fn digests(objects: &[ImageObject]) -> Vec<String> {
    let digests = objects.iter().map(|object| object.digest.clone());
    digests.take(wire::RULE_DIGESTS).collect()
}

fn json(digests: &[String]) -> String {
    serde_json::json!(digests).to_string()
}

fn new_row(
    inner: &Inner,
    kind: &str,
    image: &ImageReference,
    digest: Option<String>,
    author: Author,
) -> image_rules::ActiveModel {
    let tag = match &image.wanted {
        TagOrDigest::Tag(tag) => Some(tag.to_string()),
        TagOrDigest::Digest(_) => None,
    };
    let cut = |text: String, most: usize| text.chars().take(most).collect::<String>();
    image_rules::ActiveModel {
        id: NotSet,
        kind: Set(kind.to_owned()),
        image: Set(image.to_string()),
        registry: Set(inner.registries.canonical(&image.registry).to_string()),
        repository: Set(image.repository.to_string()),
        tag: Set(tag),
        digest: Set(digest),
        digests: Set("[]".to_owned()),
        created_by: Set(cut(author.by, 255)),
        created_by_token: Set(author.token),
        created_ms: Set(inner.now_ms()),
        until_ms: Set(None),
        reason: Set(author.reason.map(|reason| cut(reason, LONGEST_REASON))),
    }
}

/// Returns the id of the last row. Deletes expired rules too.
async fn insert(inner: &Inner, rows: Vec<image_rules::ActiveModel>) -> Result<i64, RuleError> {
    let now = inner.now_ms();
    let written = inner.write(Urgency::Urgent, move |txn| {
        Box::pin(async move {
            clear(txn, now).await?;
            let mut id = 0;
            for row in rows {
                id = image_rules::Entity::insert(row).exec(txn).await?.last_insert_id;
            }
            Ok(id)
        })
    });
    Ok(written.await?)
}

async fn clear(txn: &DatabaseTransaction, now: i64) -> Result<(), DbErr> {
    use image_rules::Column;
    image_rules::Entity::delete_many()
        .filter(Column::UntilMs.lte(now))
        .exec(txn)
        .await?;
    image_rules::Entity::delete_many()
        .filter(Column::Kind.eq(RECALL))
        .filter(Column::CreatedMs.lt(now - RECALLS_KEPT_MS))
        .exec(txn)
        .await
        .map(drop)
}

/// Peers keep all rules in memory, so their number is limited.
async fn room_for_one(inner: &Inner, kind: &str) -> Result<(), RuleError> {
    let of_kind = image_rules::Entity::find().filter(image_rules::Column::Kind.eq(kind));
    let count = of_kind.count(inner.reads()).await?;
    if count < wire::IMAGE_RULES as u64 {
        return Ok(());
    }
    Err(RuleError::TooMany(wire::IMAGE_RULES))
}

async fn room_of_one(inner: &Inner, token: Option<&str>) -> Result<(), RuleError> {
    let Some(token) = token else {
        return Ok(());
    };
    let own = image_rules::Entity::find()
        .filter(image_rules::Column::Kind.eq(PIN))
        .filter(image_rules::Column::CreatedByToken.eq(token));
    if own.count(inner.reads()).await? < PINS_OF_ONE as u64 {
        return Ok(());
    }
    Err(RuleError::TooManyOfOne(PINS_OF_ONE))
}

async fn one(inner: &Inner, id: i64) -> Result<ImageRule, RuleError> {
    let row = image_rules::Entity::find_by_id(id).one(inner.reads()).await?;
    row.map(ImageRule::try_from).transpose()?.ok_or(RuleError::Gone)
}
