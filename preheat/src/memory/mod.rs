//! Cached rows of the database: read again when they are too old, never the only copy.

pub(crate) mod clusters;
pub(crate) mod findings;
pub(crate) mod image_rules;
pub(crate) mod neighbourhoods;
pub(crate) mod questions;
pub(crate) mod removals;
pub(crate) mod sessions;
pub(crate) mod tokens;
