//! The calls of a peer with a session: lots, credentials, progress.

pub(crate) mod credential;
pub(crate) mod hand_out;
pub(crate) mod orders;
pub(crate) mod progress;
