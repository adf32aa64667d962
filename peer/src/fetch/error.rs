//! Why an object was not fetched, and on which side the failure is.

use std::path::PathBuf;

use oci::Digest;
use wire::Side;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No source gave all of it.
    #[error("object {} was not fetched: {reasons}", .digest.short())]
    NoSource {
        digest: Digest,
        side: Side,
        /// The error of the last source as one word.
        word: &'static str,
        reasons: String,
    },
    #[error(
        "object {} from {from} has wrong bytes (digest {}): check the storage there, or push the image again; nothing was kept",
        .digest.short(), .found.short()
    )]
    WrongBytes {
        digest: Digest,
        found: Digest,
        from: String,
        side: Side,
    },
    #[error(
        "object {} has {claimed} bytes at {from} instead of {expected}: push the image again, or check the proxies on the way",
        .digest.short()
    )]
    WrongSize {
        digest: Digest,
        expected: u64,
        claimed: u64,
        from: String,
        side: Side,
    },
    #[error("object {} was not written to {} on this peer: {cause}; free space or repair the disk",
        .digest.short(), .folder.display())]
    Disk {
        digest: Digest,
        folder: PathBuf,
        cause: String,
    },
    #[error("object {} changed while it was read: read it again from its start", .digest.short())]
    StartedOver { digest: Digest },
    #[error("object {} was not fetched to its end: this peer is stopping", .digest.short())]
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

    /// Whether the registry, or the seed on its word, refused the credential.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self.word(), "forbidden" | "denied")
    }

    /// Whether the registry refused with a 429 or failed with a 5xx.
    pub(crate) fn is_refused_for_now(&self) -> bool {
        matches!(self.word(), "too_many_requests" | "server_error")
    }

    /// The kind of error as one word, for spans and logs.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_failed_why_and_what_to_do() {
        let digest = Digest::of(b"a layer");
        let errors = [
            FetchError::NoSource {
                digest: digest.clone(),
                side: Side::Caller,
                word: "404",
                reasons: "registry.lan: 404 Not Found; check the name".to_owned(),
            },
            FetchError::WrongBytes {
                digest: digest.clone(),
                found: Digest::of(b"other bytes"),
                from: "registry.lan".to_owned(),
                side: Side::Registry,
            },
            FetchError::WrongSize {
                digest: digest.clone(),
                expected: 7,
                claimed: 77,
                from: "registry.lan".to_owned(),
                side: Side::Registry,
            },
            FetchError::Disk {
                digest: digest.clone(),
                folder: PathBuf::from("/var/lib/stoker/store"),
                cause: "No space left on device".to_owned(),
            },
            FetchError::StartedOver {
                digest: digest.clone(),
            },
            FetchError::Stopped { digest },
        ];
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(texts.join("\n"), @r"
        object e28d98ac666a was not fetched: registry.lan: 404 Not Found; check the name
        object e28d98ac666a from registry.lan has wrong bytes (digest a3ead5eedad5): check the storage there, or push the image again; nothing was kept
        object e28d98ac666a has 77 bytes at registry.lan instead of 7: push the image again, or check the proxies on the way
        object e28d98ac666a was not written to /var/lib/stoker/store on this peer: No space left on device; free space or repair the disk
        object e28d98ac666a changed while it was read: read it again from its start
        object e28d98ac666a was not fetched to its end: this peer is stopping
        ");
    }
}
