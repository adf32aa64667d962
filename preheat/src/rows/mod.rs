//! The tables, as sea-orm entities. Rows do not leave this crate; callers get views.
//!
//! Portable types only: integers for times (milliseconds since 1970), text for uuids, digests and JSON,
//! so that `SQLite`, `PostgreSQL` and `MariaDB` hold the same.

#![expect(
    unreachable_pub,
    reason = "sea-orm derives public types; this module keeps them in the crate"
)]

pub(crate) mod clusters;
pub(crate) mod credentials;
pub(crate) mod damaged;
pub(crate) mod find;
pub(crate) mod holdings;
pub(crate) mod image_rules;
pub(crate) mod join_tokens;
pub(crate) mod labels;
pub(crate) mod lots;
pub(crate) mod members;
pub(crate) mod objects;
pub(crate) mod peers;
pub(crate) mod placements;
pub(crate) mod preheats;
pub(crate) mod progress;
pub(crate) mod removals;
pub(crate) mod seen_registries;
pub(crate) mod sums;
pub(crate) mod tokens;

/// Rows that one `INSERT` carries: keeps every backend below its limit of bound values.
pub(crate) const ROWS_AT_ONCE: usize = 90;
/// Values that one `IN (…)` carries.
pub(crate) const VALUES_AT_ONCE: usize = 500;

/// Sizes are unsigned everywhere but in a database.
pub(crate) fn stored_size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The inverse of [`stored_size`].
pub(crate) fn read_size(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}
