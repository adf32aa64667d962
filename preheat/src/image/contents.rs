//! The objects of an image: as its newest preheat found them, else as the registry lists them.
//!
//! **Invariant:** a caller with only read access cannot make the manager dial a registry that is neither configured nor
//! named by a preheat.

use std::time::Duration;

use oci::{ImageReference, Location, Platform, TagOrDigest};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::time::{Instant, timeout_at};
use wire::ObjectKind;

use super::choice::WantedPlatforms;
use super::find::{WantedParts, find};
use super::location;
use super::reader::Reader;
use super::trouble::Trouble;
use crate::engine::preheater::Inner;
use crate::model::class::Class;
use crate::model::errors::StorageError;
use crate::rows::{objects, preheats, read_size, seen_registries};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageObject {
    pub(crate) digest: String,
    pub(crate) kind: ObjectKind,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum WhereError {
    #[error("{image} was never preheated, and {why}")]
    NotKnown { image: String, why: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The objects of an image, and the preheat that listed them.
pub(crate) struct MadeOf {
    pub(crate) digest: String,
    pub(crate) preheat: Option<i64>,
    pub(crate) objects: Vec<ImageObject>,
}

impl MadeOf {
    /// For an image of which only the digest is known.
    pub(crate) fn only(digest: String) -> Self {
        Self {
            digest,
            preheat: None,
            objects: Vec::new(),
        }
    }
}

pub(crate) async fn made_of(inner: &Inner, image: &ImageReference) -> Result<MadeOf, WhereError> {
    let rows = of_image(inner, image, None).await?;
    let resolved = rows.iter().find_map(|row| Some((row.id, row.digest.clone()?)));
    if let Some((id, digest)) = resolved {
        return Ok(MadeOf {
            digest,
            preheat: Some(id),
            objects: of_preheat(inner, id).await?,
        });
    }
    let not_known = |why: String| WhereError::NotKnown {
        image: image.to_string(),
        why,
    };
    let Some(location) = location_of(inner, image, rows.first()).await? else {
        let why = "its registry is neither configured nor named by a preheat, so it was not asked; preheat the image \
                   first, or configure the registry";
        return Err(not_known(why.to_owned()));
    };
    let end = Instant::now() + inner.limits.answer_wait;
    let asked = asked_within(inner, &location, &image.wanted, &[], end).await;
    let (digest, objects) =
        asked.map_err(|trouble| not_known(format!("asking its registry failed: {}", trouble.text)))?;
    Ok(MadeOf {
        digest,
        preheat: None,
        objects,
    })
}

/// The number of newest preheats of an image that are read.
const LOOKED_AT: u64 = 50;

/// Returns preheats of the image, newest first. `digest` is the current digest of the reference: preheats that named it
/// by digest count too.
pub(crate) async fn of_image(
    inner: &Inner,
    image: &ImageReference,
    digest: Option<&str>,
) -> Result<Vec<preheats::Model>, StorageError> {
    use preheats::Column;
    let registry = inner.registries.canonical(&image.registry).to_string();
    let mut same = Condition::any();
    if let TagOrDigest::Tag(tag) = &image.wanted {
        same = same.add(Column::Tag.eq(tag.to_string()));
    }
    for digest in image
        .wanted
        .digest()
        .map(ToString::to_string)
        .iter()
        .map(String::as_str)
        .chain(digest)
    {
        same = same
            .add(Column::Digest.eq(digest))
            .add(Column::Reference.eq(digest));
    }
    let mut rows = preheats::Entity::find()
        .filter(Column::Registry.eq(registry))
        .filter(Column::Repository.eq(image.repository.to_string()))
        .filter(same);
    if !image.base_path.is_empty() {
        rows = rows.filter(Column::BasePath.eq(&image.base_path));
    }
    let rows = rows.order_by_desc(Column::Id).limit(LOOKED_AT);
    Ok(rows.all(inner.reads()).await?)
}

/// Returns manifests first, then configs, then layers.
pub(crate) async fn of_preheat(inner: &Inner, preheat: i64) -> Result<Vec<ImageObject>, StorageError> {
    let rows = objects::Entity::find()
        .filter(objects::Column::PreheatId.eq(preheat))
        .order_by_asc(objects::Column::Class)
        .order_by_asc(objects::Column::Digest)
        .all(inner.reads())
        .await?;
    let object = |row: objects::Model| {
        Ok(ImageObject {
            kind: row.class()?.kind(),
            digest: row.digest,
            media_type: row.media_type,
            size: read_size(row.size),
            platform: row.platform,
        })
    };
    rows.into_iter().map(object).collect()
}

/// Returns where to ask for the image: as its newest preheat did. None: the registry may not be dialled.
pub(crate) async fn location_of(
    inner: &Inner,
    image: &ImageReference,
    newest: Option<&preheats::Model>,
) -> Result<Option<Location>, StorageError> {
    if let Some(row) = newest {
        let location = location::of_preheat(inner, row);
        return location
            .map(Some)
            .map_err(|bad| StorageError::Broken(bad.to_string()));
    }
    let registry = inner.registries.canonical(&image.registry).to_string();
    let seen = seen_registries::Entity::find_by_id(&registry)
        .one(inner.reads())
        .await?;
    if seen.is_none() && !inner.registries.knows(&image.registry) {
        return Ok(None);
    }
    let named = location::of_image(inner, image).ok();
    let by_plain_http = seen.is_some_and(|seen| seen.plain_http);
    Ok(named.map(|named| {
        if by_plain_http {
            location::by_plain_http(named)
        } else {
            named
        }
    }))
}

pub(crate) fn late(location: &Location, limit: Duration) -> String {
    format!(
        "{} did not answer within {} s",
        location.registry(),
        limit.as_secs_f32()
    )
}

/// Asks the registry for every object of an image, until `end`.
pub(crate) async fn asked_within(
    inner: &Inner,
    location: &Location,
    wanted: &TagOrDigest,
    platforms: &[Platform],
    end: Instant,
) -> Result<(String, Vec<ImageObject>), Trouble> {
    let reader = Reader::new(inner, location, None).await?;
    let wants = WantedParts {
        platforms: WantedPlatforms {
            platforms: platforms.to_vec(),
            named: false,
        },
        referrers: false,
        retry_referrers: false,
    };
    let found = timeout_at(end, find(&reader, wanted, &wants, None, &inner.limits)).await;
    let late = |_| Trouble::of_caller(late(location, inner.limits.answer_wait));
    let found = found.map_err(late)??;
    let mut objects: Vec<(Class, ImageObject)> = found
        .objects
        .objects()
        .iter()
        .map(|(digest, object)| {
            let is_manifest = object.class == Class::Manifest;
            let object_of = ImageObject {
                digest: digest.to_string(),
                kind: if is_manifest {
                    wire::ObjectKind::Manifest
                } else {
                    wire::ObjectKind::Blob
                },
                media_type: object.media_type.clone(),
                size: object.size,
                platform: object.platform.as_ref().map(ToString::to_string),
            };
            (object.class, object_of)
        })
        .collect();
    objects.sort_by(|one, other| (one.0, &one.1.digest).cmp(&(other.0, &other.1.digest)));
    let objects = objects.into_iter().map(|(_, object)| object).collect();
    Ok((found.digest.to_string(), objects))
}
