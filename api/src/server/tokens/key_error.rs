//! Errors of key files.

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{file}: {error}")]
    File { file: String, error: std::io::Error },
    #[error(
        "{file} is not a key file: remove it, and the next start creates a new one; tokens of the old key then fail"
    )]
    NotAKey { file: String },
    #[error(
        "{file} is not the file of an authority: restore it from a backup. Or remove it, and the next start creates a new \
         authority; every peer must then join again"
    )]
    NotAnAuthority { file: String },
}
