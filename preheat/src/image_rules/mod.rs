//! Images that are pinned, blocked, or recalled.
//!
//! **Invariant:** an object that another known and unblocked image needs is neither removed nor refused because of a
//! recall or block. Peers receive the rules on their long poll; disconnected peers receive them when they are back.

mod distribute;
mod edit;
mod kinds;
mod needed;
mod views;

pub(crate) use self::distribute::{blocked_digest, blocked_image, news, planned};
pub use self::edit::{Author, RuleKind, find, lift, list, pin, remove};
pub use self::views::{ImageRule, RemovedImage, RuleError};
