//! The commands of a caller: submit, cancel, retry.

pub(crate) mod cancel;
pub(crate) mod retry;
pub(crate) mod submit;
