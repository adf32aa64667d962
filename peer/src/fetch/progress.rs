//! The visible state of a fetch, and how much of the object a reader may get.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, DigestHasher};
use wire::Side;

use super::error::FetchError;
use super::report::FetchReport;
use store::{CHUNK, PartialView, Sealed, last_chunk_begins, off_thread};

#[derive(Clone, Default)]
pub(super) struct Progress {
    /// Counts how often the fetch started over: bytes of two takes must not be mixed.
    pub(super) take: u32,
    pub(super) body: Option<Body>,
    /// The size, once a source has confirmed it.
    pub(super) size: Option<u64>,
    /// A source has answered, so the object is available, whether or not the source sent the size.
    pub(super) is_open: bool,
    /// The frontier: bytes from the start without a gap.
    pub(super) landed: u64,
    /// The bytes that landed last, and their offset: a reader at the frontier needs no disk.
    pub(super) recent: Option<(u64, Bytes)>,
    /// The last chunk has landed, and a peer that has proven the whole vouches for it.
    pub(super) last_is_vouched: bool,
    /// Some bytes have landed, or are about to, for which no peer vouches before the whole is proven.
    pub(super) has_unvouched: bool,
    pub(super) stage: Stage,
}

/// Where the landed bytes are.
#[derive(Clone)]
pub(super) enum Body {
    Open(PartialView),
    /// Proven, and being written to the disk.
    Memory(Bytes),
    Sealed(Sealed),
}

#[derive(Clone, Default)]
pub(super) enum Stage {
    #[default]
    Running,
    /// The bytes are right, but not durable yet.
    Proven(FetchReport),
    Sealed(FetchReport),
    Failed(FetchError, Option<Remains>),
}

/// The state that readers get when the disk fails, so that each can continue alone.
#[derive(Clone)]
pub(super) struct Remains {
    pub(super) file: Option<Arc<File>>,
    pub(super) landed: u64,
    /// The hash of the bytes that have landed. `None` when they are all here and proven.
    pub(super) hash: Option<Box<DigestHasher>>,
}

impl Remains {
    pub(super) fn nothing(digest: &Digest) -> Self {
        Self {
            file: None,
            landed: 0,
            hash: Some(Box::new(digest.hasher())),
        }
    }
}

impl Progress {
    pub(super) fn of_sealed(sealed: Sealed) -> Self {
        Self {
            take: 0,
            size: Some(sealed.size),
            is_open: true,
            landed: sealed.size,
            recent: None,
            last_is_vouched: true,
            has_unvouched: false,
            body: Some(Body::Sealed(sealed)),
            stage: Stage::Sealed(FetchReport::default()),
        }
    }

    /// Bytes from `at` on, if they are in memory: of a proven object, or what has landed last.
    pub(super) fn in_memory(&self, at: u64, at_most: u64) -> Option<Bytes> {
        let (begins, bytes) = match (&self.body, &self.recent) {
            (Some(Body::Memory(bytes)), _) => (0, bytes),
            (_, Some((begins, bytes))) => (*begins, bytes),
            _ => return None,
        };
        let skipped = usize::try_from(at.checked_sub(begins)?).ok()?;
        let rest = bytes.get(skipped..).filter(|rest| !rest.is_empty())?;
        let length = usize::try_from(at_most).unwrap_or(usize::MAX).min(rest.len());
        Some(bytes.slice(skipped..skipped + length))
    }

    /// Whether readers of parts may have the last chunk: it and everything before it is vouched for.
    pub(super) fn gives_last(&self) -> bool {
        self.last_is_vouched && !self.has_unvouched
    }

    /// The end of the bytes that a reader at `at` may have without a gap. `gives_vouched`: it reads a part, and
    /// gets the last chunk once a peer vouches for it. Other readers wait for the proof of the whole.
    pub(super) fn readable_from(&self, at: u64, gives_vouched: bool) -> u64 {
        match (&self.stage, &self.body) {
            (Stage::Running, Some(Body::Open(view))) => {
                let free = match self.size {
                    Some(size) if gives_vouched && self.gives_last() => size,
                    size => free(size, self.landed),
                };
                view.readable_from(at, free)
            }
            (Stage::Proven(_) | Stage::Sealed(_), _) => self.landed,
            _ => 0,
        }
    }
}

impl Stage {
    /// Returns the side of a failure. A stopped fetch has not failed.
    pub(super) fn failed_on(&self) -> Option<Side> {
        match self {
            Self::Failed(FetchError::Stopped { .. }, _) => None,
            Self::Failed(error, _) => Some(error.side()),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Proven(_) => "proven",
            Self::Sealed(_) => "sealed",
            Self::Failed(..) => "failed",
        }
    }
}

impl Body {
    pub(super) async fn file(&self) -> io::Result<Arc<File>> {
        match self {
            Self::Open(view) => Ok(view.file()),
            Self::Memory(_) => Err(io::Error::other("not on the disk yet")),
            Self::Sealed(sealed) => {
                let sealed = sealed.clone();
                off_thread(move || sealed.open().map(Arc::new)).await
            }
        }
    }
}

/// The end of what may be read before the proof: the last chunk is never included. While the size is unknown,
/// any chunk may be the last.
fn free(size: Option<u64>, landed: u64) -> u64 {
    last_chunk_begins(size.unwrap_or(landed))
}

const _: () = assert!(
    CHUNK == 1024 * 1024,
    "readers are promised that at most 1 MiB is held back"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_always_held_back_and_never_more_than_a_chunk(size in 1..10 * CHUNK, landed in 0..10 * CHUNK) {
            let landed = landed.min(size);
            let known = free(Some(size), landed).min(landed);
            prop_assert!(known < size && known <= landed);
            prop_assert!(landed - known <= CHUNK);
            let unknown = free(None, landed).min(landed);
            prop_assert!(unknown <= known);
            prop_assert!(landed - unknown <= CHUNK);
        }
    }
}
