//! Our programs as real processes.
//!
//! The binaries are in the folder of the running test (`target/<profile>/`); `cargo build --workspace --bins` builds
//! them. They get only `PATH` of the environment, so that a `STOKER_…` variable of the developer changes no test.

mod api;
mod manager;
mod peer;
mod process;

pub use manager::{Manager, ManagerSpec};
pub use peer::{Peer, PeerSpec};
pub use process::{OurProgram, binary};
