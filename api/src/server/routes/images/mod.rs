//! Images, whoever asked for them.

pub(crate) mod rules;
pub(crate) mod whereabouts;
