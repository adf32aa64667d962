//! What a caller orders: submit, cancel, retry.

pub(crate) mod cancel;
pub(crate) mod retry;
pub(crate) mod submit;
