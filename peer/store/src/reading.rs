//! Reads bytes of a file for a reader.
//!
//! What is in the page cache is read on the reader's thread: switching to a blocking thread and back costs more
//! than the copy. Everything else is read off the async threads. Buffers are reused, because a fresh one costs
//! a page fault for each page. They begin at a cache line: the kernel's copy into other buffers was measured to
//! take five times as long (0.6 s for each GiB instead of 0.1), and an allocator's large pieces begin 16 bytes
//! after one.
//!
//! **Invariant:** at most [`LARGE_ONES`] large buffers are in use at one time, whatever the number of readers;
//! the rest get small ones.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::{ReadWriteFlags, preadv2};

use super::blocking::off_thread;

/// Large enough that a system call costs little, small enough for a processor's cache.
const LARGE: usize = 512 * 1024;
const SMALL: usize = 64 * 1024;
const CACHE_LINE: usize = 64;
/// Large buffers in use at one time.
const LARGE_ONES: usize = 24;
/// Buffers that are kept for the next reader.
const LARGE_KEPT: usize = 8;
const SMALL_KEPT: usize = 32;

static LARGE_BUFFERS: BufferPool = BufferPool::new(LARGE, LARGE_KEPT);
static SMALL_BUFFERS: BufferPool = BufferPool::new(SMALL, SMALL_KEPT);

/// Reads at least one and at most `at_most` bytes from `offset`. The end of the file is an error.
pub async fn read_some(file: &Arc<File>, offset: u64, at_most: u64) -> io::Result<Bytes> {
    match cached(file, offset, at_most) {
        Some(bytes) => Ok(bytes),
        None => from_disk(file.clone(), offset, at_most).await,
    }
}

/// Reads exactly `length` bytes from `offset`.
pub async fn read_at(file: Arc<File>, offset: u64, length: u64) -> io::Result<Bytes> {
    match cached(&file, offset, length) {
        Some(bytes) if bytes.len() as u64 == length => Ok(bytes),
        _ => off_thread(move || exactly(&file, offset, length)).await,
    }
}

fn exactly(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut buffer = Buffer::of(length);
    if buffer.length as u64 == length {
        file.read_exact_at(buffer.room(), offset)?;
        return Ok(buffer.whole());
    }
    let mut larger = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut larger, offset)?;
    Ok(larger.into())
}

/// Reads what the page cache has from `offset` on. Never waits for a disk.
fn cached(file: &File, offset: u64, at_most: u64) -> Option<Bytes> {
    let mut buffer = Buffer::of(at_most);
    let read = preadv2(
        file,
        &mut [IoSliceMut::new(buffer.room())],
        offset,
        ReadWriteFlags::NOWAIT,
    );
    read.ok()
        .filter(|length| *length > 0)
        .map(|length| buffer.first(length))
}

async fn from_disk(file: Arc<File>, offset: u64, at_most: u64) -> io::Result<Bytes> {
    off_thread(move || {
        let mut buffer = Buffer::of(at_most);
        file.read_exact_at(buffer.room(), offset)?;
        Ok(buffer.whole())
    })
    .await
}

/// Memory that goes back to its pool when the last reader drops it.
struct Buffer {
    bytes: Vec<u8>,
    /// Offset of the first byte: the begin of a cache line.
    begin: usize,
    length: usize,
    pool: &'static BufferPool,
}

impl Buffer {
    fn of(at_most: u64) -> Self {
        let wanted = usize::try_from(at_most).unwrap_or(LARGE);
        let large = (wanted > SMALL).then(|| LARGE_BUFFERS.lend(LARGE_ONES)).flatten();
        let mut buffer = large.unwrap_or_else(|| SMALL_BUFFERS.lend_always());
        buffer.length = buffer.length.min(wanted);
        buffer
    }

    fn room(&mut self) -> &mut [u8] {
        let end = self.begin + self.length;
        self.bytes.get_mut(self.begin..end).unwrap_or_default()
    }

    fn whole(self) -> Bytes {
        Bytes::from_owner(self)
    }

    fn first(mut self, length: usize) -> Bytes {
        self.length = self.length.min(length);
        self.whole()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        let end = self.begin + self.length;
        self.bytes.get(self.begin..end).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.take_back(std::mem::take(&mut self.bytes));
    }
}

/// Buffers of one size.
struct BufferPool {
    size: usize,
    kept: usize,
    idle: Mutex<Vec<Vec<u8>>>,
    lent: AtomicUsize,
}

impl BufferPool {
    const fn new(size: usize, kept: usize) -> Self {
        Self {
            size,
            kept,
            idle: Mutex::new(Vec::new()),
            lent: AtomicUsize::new(0),
        }
    }

    /// Returns `None` when `limit` buffers are in use.
    fn lend(&'static self, limit: usize) -> Option<Buffer> {
        let more = |lent| (lent < limit).then_some(lent + 1);
        let lent = self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        lent.is_ok().then(|| self.buffer())
    }

    fn lend_always(&'static self) -> Buffer {
        self.lent.fetch_add(1, Ordering::Relaxed);
        self.buffer()
    }

    fn buffer(&'static self) -> Buffer {
        let idle = self.idle.lock().pop();
        let bytes = idle.unwrap_or_else(|| vec![0; self.size + CACHE_LINE]);
        Buffer {
            // If the offset is unknown, reading is only slower.
            begin: bytes.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE),
            bytes,
            length: self.size,
            pool: self,
        }
    }

    fn take_back(&self, bytes: Vec<u8>) {
        self.lent.fetch_sub(1, Ordering::Relaxed);
        let mut idle = self.idle.lock();
        if idle.len() < self.kept {
            idle.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        Arc::new(file)
    }

    #[tokio::test]
    async fn reads_return_the_bytes_of_the_file() {
        let bytes: Vec<u8> = (0..3 * LARGE)
            .map(|at| u8::try_from(at % 251).unwrap_or(0))
            .collect();
        let file = file(&bytes);
        let (mut at, mut read) = (0, Vec::new());
        while at < bytes.len() {
            let bytes_read = read_some(&file, at as u64, (bytes.len() - at) as u64)
                .await
                .expect("bytes");
            assert!(!bytes_read.is_empty());
            at += bytes_read.len();
            read.extend_from_slice(&bytes_read);
        }
        assert!(read == bytes);
        let exact = read_at(file.clone(), 7, LARGE as u64).await.expect("bytes");
        assert!(exact == bytes[7..LARGE + 7]);
        for length in [3, LARGE, LARGE + 1] {
            let exact = exactly(&file, 5, length as u64).expect("bytes");
            assert!(exact == bytes[5..length + 5]);
        }
        let from_disk = from_disk(file, 9, 100).await.expect("bytes");
        assert_eq!(from_disk, bytes[9..109]);
    }

    #[tokio::test]
    async fn the_end_of_the_file_is_an_error() {
        let file = file(b"short");
        assert!(read_some(&file, 5, 1).await.is_err());
        assert!(read_at(file, 0, 6).await.is_err());
    }

    #[test]
    fn a_buffer_begins_where_a_cache_line_does() {
        for mut buffer in [Buffer::of(1), Buffer::of(SMALL as u64), Buffer::of(u64::MAX)] {
            assert_eq!(buffer.room().as_ptr().align_offset(CACHE_LINE), 0);
        }
        assert_eq!(Buffer::of(u64::MAX).room().len(), LARGE);
    }

    #[test]
    fn a_reused_buffer_has_its_full_length() {
        static POOL: BufferPool = BufferPool::new(1_000, 2);
        drop(POOL.lend_always().first(10));
        assert_eq!(POOL.lend_always().room().len(), 1_000);
        assert_eq!(POOL.lent.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn large_buffers_are_limited() {
        static POOL: BufferPool = BufferPool::new(10, 1);
        let first = POOL.lend(2).expect("one");
        let second = POOL.lend(2).expect("another").first(3);
        assert!(POOL.lend(2).is_none());
        drop(second);
        assert!(POOL.lend(2).is_some());
        drop(first);
        assert_eq!(POOL.lent.load(Ordering::Relaxed), 0);
        assert!(POOL.idle.lock().len() <= 1);
    }
}
