//! Reads the configuration of every program. A flag wins over an environment variable, and a variable over the file.
//!
//! **Invariant:** a configuration is either accepted as a whole or refused with all its faults at once. Each fault names
//! its key and the source of its value. No fault repeats a secret. No key of a file is ignored.
//!
//! [`Reader`] and [`Section`] are generic: they know no particular setting. [`registry`], [`dial`] and [`telemetry`] read
//! the sections that both programs share.
//!
//! Non-goals: changing a configuration file; reading it again while the program runs.

mod credential;
pub mod dial;
mod entry;
mod fault;
mod file;
mod given;
mod input;
mod nearest;
mod raw;
mod reader;
pub mod registry;
mod report;
mod section;
mod source;
pub mod telemetry;
pub mod units;

pub use entry::Entry;
pub use fault::{Fault, FaultKind, Faults};
pub use file::SettingsFile;
pub use given::{Flags, Given};
pub use reader::{Read, Reader};
pub use registry::OwnRegistry;
pub use report::Report;
pub use section::Section;
pub use source::{Place, ValueSource};
