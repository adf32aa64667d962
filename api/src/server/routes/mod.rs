//! One file per verb; the folders spell the paths. A handler translates, the domain decides.

pub(crate) mod clusters;
pub(crate) mod explain;
pub(crate) mod harbor;
pub(crate) mod hooks;
mod image;
pub(crate) mod images;
pub(crate) mod join_tokens;
pub(crate) mod joining;
pub(crate) mod notifications;
mod owner;
pub(crate) mod peers;
pub(crate) mod preheats;
mod pushed;
pub(crate) mod sessions;
pub(crate) mod tokens;
