//! One reader of configuration for every program: file, environment and flags, rising in rank.
//!
//! **Invariant:** a configuration is either read whole or refused with all its faults at once. Each fault names its
//! key and where its value comes from, no fault repeats a secret, and no key of a file is ignored.
//!
//! The reader ([`Reader`], [`Section`]) knows no setting of ours. Above it are the sections that both programs share:
//! [`registry`], [`dial`] and [`telemetry`].
//!
//! Non-goals: changing a configuration file; reading one again while the program runs.

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
