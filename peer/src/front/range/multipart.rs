//! A body with several parts of one object: `multipart/byteranges` (RFC 9110, 14.6).
//!
//! **Invariant:** the body's length is known before its first byte. No part is opened before the reader has taken all bytes
//! before it.

use std::fmt::Write as _;
use std::ops::Range;

use axum::body::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::fetch::ObjectStream;

/// The parts of a response, and the text between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Multipart {
    boundary: String,
    /// Each part with its head.
    parts: Vec<(Bytes, Range<u64>)>,
    tail: Bytes,
}

impl Multipart {
    /// `seed` is random, so that nobody can make an object that contains the boundary.
    pub(crate) fn new(parts: Vec<Range<u64>>, size: u64, media_type: &str, seed: u128) -> Self {
        let boundary = format!("{seed:032x}");
        let with_head = |range: Range<u64>| {
            let mut head = String::with_capacity(160);
            let last = range.end.saturating_sub(1);
            // Writing to a `String` cannot fail.
            let _ = write!(
                head,
                "\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: bytes {}-{last}/{size}\r\n\r\n",
                range.start
            );
            (Bytes::from(head), range)
        };
        Self {
            tail: Bytes::from(format!("\r\n--{boundary}--\r\n")),
            parts: parts.into_iter().map(with_head).collect(),
            boundary,
        }
    }

    pub(crate) fn media_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Returns the length of the whole body.
    pub(crate) fn length(&self) -> u64 {
        let of_part = |(head, range): &(Bytes, Range<u64>)| {
            (head.len() as u64).saturating_add(range.end.saturating_sub(range.start))
        };
        let parts = self.parts.iter().map(of_part);
        parts.fold(self.tail.len() as u64, u64::saturating_add)
    }

    /// Returns the body of an object in memory.
    pub(crate) fn body_of(&self, slice: impl Fn(&Range<u64>) -> Bytes) -> Bytes {
        let mut body = Vec::new();
        for (head, range) in &self.parts {
            body.extend_from_slice(head);
            body.extend_from_slice(&slice(range));
        }
        body.extend_from_slice(&self.tail);
        body.into()
    }

    /// Returns the body as a stream that opens each part when it is reached.
    pub(crate) fn body<Opening>(self, open: impl Fn(Range<u64>) -> Opening + Send + 'static) -> ObjectStream
    where
        Opening: Future<Output = std::io::Result<ObjectStream>> + Send + 'static,
    {
        let opened = move |(head, range): (Bytes, Range<u64>)| {
            let opening = open(range);
            async move {
                let pieces = opening.await?;
                Ok::<_, std::io::Error>(stream::iter([Ok(head)]).chain(pieces))
            }
        };
        let parts = stream::iter(self.parts).then(opened).try_flatten();
        Box::pin(parts.chain(stream::iter([Ok(self.tail)])))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn heads_and_length_follow_the_rfc() {
        let multipart = Multipart::new(vec![0..2, 5..9], 10, "text/plain", 0xab);
        let boundary = "000000000000000000000000000000ab";
        assert_eq!(
            multipart.media_type(),
            format!("multipart/byteranges; boundary={boundary}")
        );
        let body = format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-8/10\r\n\r\n5678\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(multipart.length(), body.len() as u64);
        let at_hand = Bytes::from_static(b"0123456789");
        let slice = |range: &Range<u64>| {
            at_hand.slice(
                usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small"),
            )
        };
        assert_eq!(multipart.body_of(slice), body);
        assert_eq!(read(multipart).await, body.as_bytes());
    }

    #[tokio::test]
    async fn a_part_that_the_reader_does_not_reach_is_not_opened() {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = opened.clone();
        let mut body = Multipart::new(vec![0..2, 5..9, 9..10], 10, "text/plain", 7).body(move |range| {
            count.fetch_add(1, Ordering::Relaxed);
            ready(Ok(digits(range)))
        });
        for _ in 0..2 {
            body.next().await.expect("a piece").expect("bytes");
        }
        assert_eq!(opened.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_part_that_cannot_be_read_breaks_the_body() {
        let multipart = Multipart::new(vec![0..2, 5..9], 10, "text/plain", 7);
        let body = multipart.body(|range| {
            ready(if range.start == 0 {
                Ok(digits(range))
            } else {
                Err(std::io::ErrorKind::StorageFull.into())
            })
        });
        let pieces: Vec<std::io::Result<Bytes>> = body.collect().await;
        assert!(pieces.iter().any(|piece| {
            piece
                .as_ref()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
        }));
    }

    async fn read(multipart: Multipart) -> Vec<u8> {
        let pieces = multipart.body(|range| ready(Ok(digits(range))));
        let pieces: Vec<Bytes> = pieces.try_collect().await.expect("a whole body");
        pieces.concat()
    }

    /// Bytes of `0123456789`.
    fn digits(range: Range<u64>) -> ObjectStream {
        let byte = |at: u64| Ok(Bytes::from(at.to_string()));
        Box::pin(stream::iter(range.map(byte)))
    }
}
