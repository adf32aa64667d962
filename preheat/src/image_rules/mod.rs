//! Images that are pinned, blocked, or were taken off every peer.
//!
//! **Invariant:** an object that another image needs, one that is known and not blocked, neither goes nor is refused for
//! the sake of a recall or block. Peers learn of all of it over their long poll, those that were away when they are back.

mod distribute;
mod edit;
mod kinds;
mod needed;
mod views;

pub(crate) use self::distribute::{blocked_digest, blocked_image, news, planned};
pub use self::edit::{Author, RuleKind, find, lift, list, pin, remove};
pub use self::views::{ImageRule, RemovedImage, RuleError};
