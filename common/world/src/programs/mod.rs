//! Our own programs as real processes, as people start them.
//!
//! The binaries are those beside the running test (`target/<profile>/`): `cargo build --workspace --bins` makes them.
//! Nothing of the environment reaches them but `PATH`, so that a `STOKER_…` of the developer's shell changes no test.

mod api;
mod manager;
mod peer;
mod process;

pub use manager::{Manager, ManagerSpec};
pub use peer::{Peer, PeerSpec};
pub use process::{OurProgram, binary};
