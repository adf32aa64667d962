//! What tests fill a store with.

use bytes::Bytes;
use oci::Digest;
use wire::ObjectKind;

use crate::{CHUNK, Sealed, Store};

/// Bytes that repeat nowhere, the same for the same length.
pub fn bytes(length: u64) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    words.take(length).collect()
}

/// Puts a blob into the store.
///
/// # Panics
/// When the disk refuses.
#[expect(clippy::expect_used, reason = "a test has nothing to go on with then")]
pub async fn seal(store: &Store, object: &Bytes) -> Sealed {
    let partial = store.partial(&Digest::of(object)).await.expect("a partial");
    for block in object.chunks(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
        let block = Bytes::copy_from_slice(block);
        partial.append(block).await.expect("landed");
    }
    let proven = partial.prove().await.expect("read").expect("the right bytes");
    let sealed = proven.seal(Some("application/x".to_owned()), ObjectKind::Blob);
    sealed.await.expect("sealed")
}
