//! What is wrong with a key file.

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{file}: {error}")]
    File { file: String, error: std::io::Error },
    #[error(
        "{file} holds no key of ours: remove it to have a new one made (tokens made with the old one die)"
    )]
    NotAKey { file: String },
    #[error(
        "{file} holds no authority of ours: put it back from a backup; without it a new one is made once the file is gone, \
         and every peer has to join anew"
    )]
    NotAnAuthority { file: String },
}
