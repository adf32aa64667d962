//! What the domain promises, on a real database, against a registry that may lie.

#![expect(
    clippy::disallowed_methods,
    reason = "tests spawn their registry and make their own client"
)]

mod artifacts;
mod artifacts_referrers;
mod asking;
mod bandwidth;
mod cancelling;
mod choosing;
mod credentials;
mod damaged_rows;
mod deadlines;
mod deliveries;
mod explaining;
mod following;
mod forgetting;
mod images;
mod labelling;
mod listing;
mod manifests;
mod metrics;
mod odd_manifests;
mod placing;
mod retrying;
mod rows;
mod settling;
mod sharing;
mod spans;
mod spot_checks;
mod support;
mod telling;
mod tokens;
mod watching;
