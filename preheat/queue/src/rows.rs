//! The two tables as sea-orm entities, private to the crate.

#[expect(
    unreachable_pub,
    reason = "sea-orm's derives need public rows; the module is private"
)]
pub(crate) mod holders;
#[expect(
    unreachable_pub,
    reason = "sea-orm's derives need public rows; the module is private"
)]
pub(crate) mod work;
