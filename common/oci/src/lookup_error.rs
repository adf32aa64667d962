//! Why a kept credential cannot be looked up.
//!
//! **Invariant:** no error repeats what was found: it may hold parts of a password.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("cannot read {}: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("cannot use {}: {what}", .path.display())]
    BadFile { path: PathBuf, what: &'static str },
    #[error("not a credential helper: write the part behind docker-credential-, or an absolute path")]
    BadHelper,
    #[error("credential helper {} failed: {cause}", .program.display())]
    Helper { program: PathBuf, cause: String },
    #[error("credential helper {} failed: no answer within {limit_s} s", .program.display())]
    HelperTimeout { program: PathBuf, limit_s: u64 },
    #[error("another lookup of this credential did not finish in time")]
    TooLong,
}
