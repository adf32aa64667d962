//! One fetch per object, any number of readers.
//!
//! The first reader starts it. All readers, the first included, read what has landed so far. A fetch belongs to
//! the process and not to a reader: a reader that leaves does not stop it.
//!
//! **Invariant:** the last chunk is held back from every reader until the digest of the whole is proven. So a
//! wrong object ends as a broken transfer and never as a complete one. The last chunk waits for the proof, not
//! for the disk.

mod batches;
mod bypass;
mod error;
mod faults;
mod fetches;
mod following;
mod keep;
mod needs;
mod object;
mod partial_reader;
mod progress;
mod report;
mod run;
mod spec;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::source::Sources;
pub use error::FetchError;
pub use fetches::{FetchStart, Fetches};
pub use following::Following;
pub(crate) use object::{ObjectStream, ReadableObject};
pub(crate) use partial_reader::PartialReader;
pub use report::{FetchReport, SourceUse};
pub use spec::{Extent, FetchSpec};
