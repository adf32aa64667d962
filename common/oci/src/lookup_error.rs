//! Why a kept credential cannot be looked up.
//!
//! **Invariant:** no error repeats what was found: it may hold parts of a password.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("{} cannot be read: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: String },
    #[error("{} cannot be used: {what}", .path.display())]
    BadFile { path: PathBuf, what: &'static str },
    #[error(
        "a credential helper is named by what follows docker-credential-, or by a path that begins with /"
    )]
    BadHelper,
    #[error("the credential helper {} failed: {cause}", .program.display())]
    Helper { program: PathBuf, cause: String },
    #[error("somebody else's lookup of this credential does not end")]
    TooLong,
}
