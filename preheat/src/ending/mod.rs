//! The end of a preheat, and its effect on followers.

pub(crate) mod clear;
pub(crate) mod end;
pub(crate) mod followers;
