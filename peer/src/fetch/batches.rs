//! Gathers the bytes of a source into batches, each large enough for one write to the disk.
//!
//! **Invariant:** no batch goes beyond the object's size. With whole chunks, no batch is a part of one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use store::CHUNK;
use tokio::time::timeout;
use wire::Side;

use crate::source::{SourceError, SourceStream};

/// The size of a batch, and of the first one: readers wait for that.
const BATCH: u64 = CHUNK;
const FIRST_BATCH: u64 = 64 * 1024;
/// An incomplete batch waits this long for more, so that readers of a slow source get bytes soon.
const LINGER: Duration = Duration::from_millis(20);
/// A source that sends nothing for this long is abandoned.
const STALL: Duration = Duration::from_secs(30);

pub(super) struct Batches {
    stream: SourceStream,
    rest: Bytes,
    at: u64,
    size: Option<u64>,
    whole_chunks: bool,
    step: u64,
    over: Option<BatchesEnd>,
}

enum BatchesEnd {
    Ended,
    Broke(SourceError),
}

pub(super) enum NextBatch {
    Batch(Bytes),
    /// The source has sent everything.
    End,
    Broke(SourceError),
}

impl Batches {
    /// `at` is the offset of `stream` in the object.
    pub(super) fn new(stream: SourceStream, at: u64, size: Option<u64>, whole_chunks: bool) -> Self {
        Self {
            stream,
            rest: Bytes::new(),
            at,
            size,
            whole_chunks,
            step: if whole_chunks { CHUNK } else { FIRST_BATCH },
            over: None,
        }
    }

    pub(super) async fn next(&mut self) -> NextBatch {
        let left = self.size.map_or(u64::MAX, |size| size.saturating_sub(self.at));
        if left == 0 {
            return NextBatch::End;
        }
        let target = usize::try_from(self.step.min(left)).unwrap_or(usize::MAX);
        self.step = (self.step * 2).min(BATCH);
        let batch = self.gather(target).await;
        if batch.is_empty() || self.whole_chunks && batch.len() < target {
            return self.end(left);
        }
        self.at += batch.len() as u64;
        NextBatch::Batch(batch)
    }

    async fn gather(&mut self, target: usize) -> Bytes {
        let mut batch = BytesMut::with_capacity(target);
        while batch.len() < target {
            if self.rest.is_empty() && !self.more(batch.is_empty()).await {
                break;
            }
            let taken = self.rest.split_to(self.rest.len().min(target - batch.len()));
            batch.extend_from_slice(&taken);
        }
        batch.freeze()
    }

    /// Waits for more bytes. Returns `false` when there is nothing to wait for.
    async fn more(&mut self, nothing_yet: bool) -> bool {
        if self.over.is_some() {
            return false;
        }
        let patient = nothing_yet || self.whole_chunks;
        match timeout(if patient { STALL } else { LINGER }, self.stream.next()).await {
            Ok(Some(Ok(bytes))) => self.rest = bytes,
            Ok(Some(Err(error))) => self.over = Some(BatchesEnd::Broke(error)),
            Ok(None) => self.over = Some(BatchesEnd::Ended),
            Err(_) if patient => self.over = Some(BatchesEnd::Broke(stalled())),
            Err(_) => return false,
        }
        self.over.is_none()
    }

    fn end(&mut self, left: u64) -> NextBatch {
        match self.over.take() {
            Some(BatchesEnd::Broke(error)) => NextBatch::Broke(error),
            _ if self.size.is_none() => NextBatch::End,
            _ => NextBatch::Broke(SourceError {
                side: Side::Network,
                word: "cut_short",
                passing: true,
                text: format!("it ended {left} bytes too early"),
            }),
        }
    }
}

fn stalled() -> SourceError {
    SourceError {
        side: Side::Network,
        word: "silent",
        passing: true,
        text: format!("it sent nothing for {} s", STALL.as_secs()),
    }
}
