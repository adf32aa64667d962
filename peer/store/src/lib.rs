//! Stores objects by digest.
//!
//! **Invariant:** if `sealed/ab/abcd…` exists, its bytes have that digest and were on disk before the file got its name.
//! A [`Partial`] becomes [`Sealed`] only by [`Partial::prove`] and [`Proven::seal`].
//!
//! Non-goals: registries, peers and preheats.

mod blocking;
mod catalog;
mod chunk_set;
mod chunks;
mod claims;
mod describe;
mod growing;
mod handle;
mod image_rules;
mod index;
mod known_rules;
mod landing;
mod layout;
mod limits;
mod objects;
mod open_files;
mod opening;
mod partial;
mod partials;
mod promises;
mod reading;
mod records;
mod recover;
mod removals;
mod removing;
mod room;
mod sealed;
mod small;
mod sweep;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use blocking::off_thread;
pub use chunks::{About, CHUNK, ChunkHash, ChunkHashes, last_chunk_begins};
pub use growing::GrowingRoom;
pub use handle::{Clock, Store, StoreEvent, WeakStore};
pub use landing::LandError;
pub use limits::{Amount, Disk, StoreLimits};
pub use objects::Totals;
pub use partial::{Partial, PartialView, Proven};
pub use promises::{Hold, NoRoom, Room};
pub use reading::{read_at, read_some};
pub use removals::{Removal, RemovalReason};
pub use sealed::Sealed;
pub use small::{ProvenBytes, WrongBytes};
pub use sweep::sweep_until;
