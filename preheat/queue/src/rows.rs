//! The two tables as sea-orm sees them. Nothing of this leaves the crate.

#[expect(
    unreachable_pub,
    reason = "sea-orm's derives need public rows; the module keeps them in"
)]
pub(crate) mod holders;
#[expect(
    unreachable_pub,
    reason = "sea-orm's derives need public rows; the module keeps them in"
)]
pub(crate) mod work;
