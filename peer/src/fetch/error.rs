//! Why an object could not be had, in words for people, and whose side it lies on.

use std::path::PathBuf;

use oci::Digest;
use wire::Side;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody who was asked gave it, or all of it.
    #[error("{digest} could not be fetched: {said}")]
    NoSource {
        digest: Digest,
        side: Side,
        /// What the last source said, in one of a few words.
        word: &'static str,
        said: String,
    },
    #[error(
        "{digest} arrived with other bytes than its name promises ({found}) from {from}; nothing of it was kept: check the storage there, or push the image again"
    )]
    WrongBytes {
        digest: Digest,
        found: Digest,
        from: String,
        side: Side,
    },
    #[error(
        "{digest} should have {expected} bytes and has {told} at {from}: push the image again, or check what lies between"
    )]
    WrongSize {
        digest: Digest,
        expected: u64,
        told: u64,
        from: String,
        side: Side,
    },
    #[error("the disk of this peer refused {digest} in {}: {cause}; free some space or mend the disk", .folder.display())]
    Disk {
        digest: Digest,
        folder: PathBuf,
        cause: String,
    },
    #[error("{digest} changed while it was read; read it again from its start")]
    StartedOver { digest: Digest },
    #[error("{digest} was not fetched to its end: this peer is stopping")]
    Stopped { digest: Digest },
}

impl FetchError {
    pub fn side(&self) -> Side {
        match self {
            Self::NoSource { side, .. } | Self::WrongBytes { side, .. } | Self::WrongSize { side, .. } => {
                *side
            }
            Self::Disk { .. } | Self::StartedOver { .. } | Self::Stopped { .. } => Side::Peer,
        }
    }

    /// The same in a word, for spans and logs: one of few, whatever was fetched.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoSource { word, .. } => word,
            Self::WrongBytes { .. } => "wrong_bytes",
            Self::WrongSize { .. } => "wrong_size",
            Self::Disk { .. } => "disk",
            Self::StartedOver { .. } => "started_over",
            Self::Stopped { .. } => "stopped",
        }
    }
}
