//! The end of a preheat, and what it means for its followers.

pub(crate) mod clear;
pub(crate) mod end;
pub(crate) mod followers;
