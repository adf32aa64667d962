//! What peers are sent about pinned, blocked and recalled images; kept in memory until it changes.

use std::sync::Arc;

use oci::{ImageReference, TagOrDigest};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use wire::{Block, ImageRules, KnownImageRules, Pin, RECALLED_AT_ONCE, Recall, RuledImage};

use super::kinds::{BLOCK, PIN, RECALL};
use super::needed::needed_by_others;
use super::views::text_of;
use crate::engine::preheater::Inner;
use crate::image::contents;
use crate::memory::image_rules::DistributedRules;
use crate::model::errors::StorageError;
use crate::rows::damaged::or_skip;
use crate::rows::{image_rules, preheats};

/// Recalls of one answer; the rest follows with the next.
const RECALLS_AT_ONCE: u64 = 500;

/// Wakes every peer that waits for work.
pub(super) fn changed(inner: &Inner) {
    inner.image_rules.put(None);
    inner.bell.ring_all();
}

/// A preheat knows its objects: a block may have to leave some of them to it, a pin may mean another image.
pub(crate) fn planned(inner: &Inner) {
    let known = inner.image_rules.get(inner.now_ms());
    if known.is_some_and(|current| !current.rules.pins.is_empty() || !current.rules.blocks.is_empty()) {
        inner.image_rules.put(None);
    }
}

/// Returns what a peer that has `known` lacks. A peer that does not report its version is sent nothing.
pub(crate) async fn news(
    inner: &Inner,
    known: Option<&KnownImageRules>,
) -> Result<Option<ImageRules>, StorageError> {
    let Some(known) = known else { return Ok(None) };
    let current = current(inner).await?;
    if current.rules.version == known.version {
        return Ok(None);
    }
    let mut rules = current.rules.clone();
    if current.last_recall > known.recalled {
        let (recalls, is_all) = recalls_after(inner, known.recalled).await?;
        rules.recalls = recalls;
        if !is_all {
            // A peer that reports it is sent the rest.
            rules.version = String::new();
        }
    }
    Ok(Some(rules))
}

/// Returns the text of the block, if the image is blocked by its name or digest.
pub(crate) async fn blocked_image(
    inner: &Inner,
    image: &ImageReference,
) -> Result<Option<String>, StorageError> {
    let current = current(inner).await?;
    let registry = inner.registries.canonical(&image.registry).to_string();
    let repository = image.repository.to_string();
    let is_it = |block: &&Block| match &image.wanted {
        TagOrDigest::Digest(digest) => is_of(block, digest.as_str()),
        TagOrDigest::Tag(tag) => {
            block.image.tag.as_deref() == Some(tag.as_str())
                && block.image.registry == registry
                && block.image.repository == repository
        }
    };
    Ok(current
        .rules
        .blocks
        .iter()
        .find(is_it)
        .map(|block| block.text.clone()))
}

/// The same for a resolved digest.
pub(crate) async fn blocked_digest(inner: &Inner, digest: &str) -> Result<Option<String>, StorageError> {
    let current = current(inner).await?;
    let found = current.rules.blocks.iter().find(|block| is_of(block, digest));
    Ok(found.map(|block| block.text.clone()))
}

fn is_of(block: &Block, digest: &str) -> bool {
    block.image.digests.iter().any(|one| one == digest)
}

/// Returns the manifests of blocked images: they keep no object.
pub(super) async fn blocked_roots(inner: &Inner) -> Result<Vec<String>, StorageError> {
    Ok(current(inner).await?.roots.clone())
}

async fn current(inner: &Inner) -> Result<Arc<DistributedRules>, StorageError> {
    let now = inner.now_ms();
    if let Some(current) = inner.image_rules.get(now) {
        return Ok(current);
    }
    let current = Arc::new(read(inner, now).await?);
    inner.image_rules.put(Some((now, Arc::clone(&current))));
    Ok(current)
}

async fn read(inner: &Inner, now: i64) -> Result<DistributedRules, StorageError> {
    use image_rules::Column;
    let rows = image_rules::Entity::find()
        .filter(Column::Kind.is_in([PIN, BLOCK]))
        .order_by_asc(Column::Id)
        .all(inner.reads())
        .await?;
    let last_recall = image_rules::Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Kind.eq(RECALL))
        .order_by_desc(Column::Id)
        .into_tuple()
        .one(inner.reads())
        .await?
        .unwrap_or(0);
    let (blocks, pins): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind == BLOCK);
    let roots: Vec<String> = blocks.iter().filter_map(|row| row.digest.clone()).collect();
    let mut rules = ImageRules {
        blocks: blocks_of(inner, blocks, &roots).await?,
        ..ImageRules::default()
    };
    for row in pins {
        if row.until_ms.is_none_or(|until| until > now) {
            rules.pins.push(pin_of(inner, row).await?);
        }
    }
    if last_recall > 0 || !rules.blocks.is_empty() || !rules.pins.is_empty() {
        rules.version = version(&rules, last_recall);
    }
    Ok(DistributedRules {
        rules,
        last_recall,
        roots,
    })
}

fn version(rules: &ImageRules, last_recall: i64) -> String {
    let all = serde_json::json!([&rules.pins, &rules.blocks, last_recall]).to_string();
    oci::Digest::of(all.as_bytes()).hex().chars().take(16).collect()
}

async fn blocks_of(
    inner: &Inner,
    rows: Vec<image_rules::Model>,
    roots: &[String],
) -> Result<Vec<Block>, StorageError> {
    let rows: Vec<(image_rules::Model, Vec<String>)> = rows
        .into_iter()
        .filter_map(|row| or_skip(row.list()).map(|digests| (row, digests)))
        .collect();
    let all: Vec<String> = rows
        .iter()
        .flat_map(|(_, digests)| digests.iter().cloned())
        .collect();
    let needed = needed_by_others(inner, &all, roots).await?;
    let block = |(row, mut digests): (image_rules::Model, Vec<String>)| {
        digests.retain(|digest| row.digest.as_ref() == Some(digest) || !needed.contains(digest));
        if let Some(root) = row.digest.clone().filter(|root| !digests.contains(root)) {
            digests.push(root);
        }
        Block {
            text: text_of(&row),
            image: ruled(row, digests),
        }
    };
    Ok(rows.into_iter().map(block).collect())
}

/// A pin by tag covers the objects of the last known digest of the tag.
async fn pin_of(inner: &Inner, row: image_rules::Model) -> Result<Pin, StorageError> {
    let mut digests = or_skip(row.list()).unwrap_or_default();
    if let Some(newest) = newest(inner, &row).await? {
        let objects = contents::of_preheat(inner, newest).await?;
        digests = objects.into_iter().map(|object| object.digest).collect();
        digests.truncate(wire::RULE_DIGESTS);
    }
    Ok(Pin {
        until_unix_ms: row.until_ms,
        image: ruled(row, digests),
    })
}

async fn newest(inner: &Inner, row: &image_rules::Model) -> Result<Option<i64>, StorageError> {
    use preheats::Column;
    let Some(tag) = &row.tag else { return Ok(None) };
    let newest = preheats::Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Registry.eq(&row.registry))
        .filter(Column::Repository.eq(&row.repository))
        .filter(Column::Tag.eq(tag))
        .filter(Column::Digest.is_not_null())
        .filter(Column::Follows.is_null())
        .order_by_desc(Column::Id)
        .into_tuple()
        .one(inner.reads())
        .await?;
    Ok(newest)
}

fn ruled(row: image_rules::Model, digests: Vec<String>) -> RuledImage {
    RuledImage {
        image: row.image,
        registry: row.registry,
        repository: row.repository,
        tag: row.tag,
        digests,
    }
}

/// Returns recalls that the peer has not carried out, and whether these are all.
async fn recalls_after(inner: &Inner, number: i64) -> Result<(Vec<Recall>, bool), StorageError> {
    use image_rules::Column;
    let rows = image_rules::Entity::find()
        .filter(Column::Kind.eq(RECALL))
        .filter(Column::Id.gt(number))
        .order_by_asc(Column::Id)
        .limit(RECALLS_AT_ONCE)
        .all(inner.reads())
        .await?;
    let mut is_all = (rows.len() as u64) < RECALLS_AT_ONCE;
    let (mut recalls, mut digests_sent) = (Vec::new(), 0);
    for row in rows {
        let Some(digests) = or_skip(row.list()) else {
            continue;
        };
        digests_sent += digests.len();
        if digests_sent > RECALLED_AT_ONCE && !recalls.is_empty() {
            is_all = false;
            break;
        }
        recalls.push(Recall {
            number: row.id,
            image: ruled(row, digests),
        });
    }
    Ok((recalls, is_all))
}
