//! Images: where they are, and the rules for them.

pub(crate) mod rules;
pub(crate) mod whereabouts;
