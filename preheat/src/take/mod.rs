//! What a peer with a session gets: lots, credentials; and its progress.

pub(crate) mod credential;
pub(crate) mod hand_out;
pub(crate) mod orders;
pub(crate) mod progress;
