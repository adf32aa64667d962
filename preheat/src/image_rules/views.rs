//! The public types of this module.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::image::contents::WhereError;
use crate::model::errors::{DamagedRow, StorageError};
use crate::rows::image_rules;

/// A pin or a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageRule {
    pub id: i64,
    pub image: String,
    pub digest: Option<String>,
    /// The number of objects that the image needed when it was pinned or blocked.
    pub objects: u64,
    pub created_by: String,
    /// The id of the token that created it; none if no token was needed.
    pub created_by_token: Option<String>,
    pub created_ms: i64,
    pub until_ms: Option<i64>,
    pub reason: Option<String>,
}

/// The result of a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedImage {
    pub image: String,
    pub digest: Option<String>,
    /// Objects that are removed.
    pub objects: u64,
    /// Objects that stay, because other images need them.
    pub shared: u64,
    pub blocked: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error("the objects of {image} are unknown: {why}")]
    NotKnown { image: String, why: String },
    #[error("there are {0} of them already, which is the limit: remove some first")]
    TooMany(usize),
    #[error("this token has pinned {0} images, which is the limit of one token: unpin some first")]
    TooManyOfOne(usize),
    #[error("another caller has just removed it")]
    Gone,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<WhereError> for RuleError {
    fn from(error: WhereError) -> Self {
        match error {
            WhereError::NotKnown { image, why } => Self::NotKnown { image, why },
            WhereError::Storage(cause) => Self::Storage(cause),
        }
    }
}

impl From<DamagedRow> for RuleError {
    fn from(damaged: DamagedRow) -> Self {
        Self::Storage(damaged.into())
    }
}

impl From<sea_orm::DbErr> for RuleError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Storage(error.into())
    }
}

impl TryFrom<image_rules::Model> for ImageRule {
    type Error = DamagedRow;

    fn try_from(row: image_rules::Model) -> Result<Self, DamagedRow> {
        Ok(Self {
            objects: row.list()?.len() as u64,
            id: row.id,
            image: row.image,
            digest: row.digest,
            created_by: row.created_by,
            created_by_token: row.created_by_token,
            created_ms: row.created_ms,
            until_ms: row.until_ms,
            reason: row.reason,
        })
    }
}

/// Returns the text for a refused caller: who blocked the image, when and why.
pub(super) fn text_of(row: &image_rules::Model) -> String {
    let at =
        OffsetDateTime::from_unix_timestamp(row.created_ms / 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let at = at.format(&Rfc3339).unwrap_or_default();
    let why = row
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{} was blocked by {} at {at}{why}", row.image, row.created_by)
}
