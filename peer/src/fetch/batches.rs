//! Gathers the pieces of a source into blocks that are worth a step to the disk.
//!
//! **Invariant:** never a byte beyond the object's size; with whole chunks, never a part of one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use store::CHUNK;
use tokio::time::timeout;
use wire::Side;

use crate::source::{Pieces, SourceError};

/// Bytes that are worth a step to the disk, and with the first ones: readers wait for them.
const BLOCK: u64 = CHUNK;
const FIRST_BLOCK: u64 = 64 * 1024;
/// A block that is not full waits this long for more: readers of a slow source wait no longer than that.
const LINGER: Duration = Duration::from_millis(20);
/// A source that sends nothing for so long is left.
const STALL: Duration = Duration::from_secs(30);

pub(super) struct Blocks {
    pieces: Pieces,
    rest: Bytes,
    at: u64,
    size: Option<u64>,
    whole_chunks: bool,
    step: u64,
    over: Option<Over>,
}

enum Over {
    Ended,
    Broke(SourceError),
}

pub(super) enum Next {
    Block(Bytes),
    /// All that there is has come.
    End,
    Broke(SourceError),
}

impl Blocks {
    /// `at` is where `pieces` begins in the object.
    pub(super) fn new(pieces: Pieces, at: u64, size: Option<u64>, whole_chunks: bool) -> Self {
        Self {
            pieces,
            rest: Bytes::new(),
            at,
            size,
            whole_chunks,
            step: if whole_chunks { CHUNK } else { FIRST_BLOCK },
            over: None,
        }
    }

    pub(super) async fn next(&mut self) -> Next {
        let left = self.size.map_or(u64::MAX, |size| size.saturating_sub(self.at));
        if left == 0 {
            return Next::End;
        }
        let target = usize::try_from(self.step.min(left)).unwrap_or(usize::MAX);
        self.step = (self.step * 2).min(BLOCK);
        let block = self.gather(target).await;
        if block.is_empty() || self.whole_chunks && block.len() < target {
            return self.why_over(left);
        }
        self.at += block.len() as u64;
        Next::Block(block)
    }

    async fn gather(&mut self, target: usize) -> Bytes {
        let mut block = BytesMut::with_capacity(target);
        while block.len() < target {
            if self.rest.is_empty() && !self.more(block.is_empty()).await {
                break;
            }
            let taken = self.rest.split_to(self.rest.len().min(target - block.len()));
            block.extend_from_slice(&taken);
        }
        block.freeze()
    }

    /// Waits for the next piece; `false` when none is to be waited for.
    async fn more(&mut self, nothing_yet: bool) -> bool {
        if self.over.is_some() {
            return false;
        }
        let patient = nothing_yet || self.whole_chunks;
        match timeout(if patient { STALL } else { LINGER }, self.pieces.next()).await {
            Ok(Some(Ok(piece))) => self.rest = piece,
            Ok(Some(Err(error))) => self.over = Some(Over::Broke(error)),
            Ok(None) => self.over = Some(Over::Ended),
            Err(_) if patient => self.over = Some(Over::Broke(silent())),
            Err(_) => return false,
        }
        self.over.is_none()
    }

    fn why_over(&mut self, left: u64) -> Next {
        match self.over.take() {
            Some(Over::Broke(error)) => Next::Broke(error),
            _ if self.size.is_none() => Next::End,
            _ => Next::Broke(SourceError {
                side: Side::Network,
                word: "cut_short",
                passing: true,
                text: format!("it ended {left} bytes too early"),
            }),
        }
    }
}

fn silent() -> SourceError {
    SourceError {
        side: Side::Network,
        word: "silent",
        passing: true,
        text: format!("it sent nothing for {} s", STALL.as_secs()),
    }
}
