//! Spot checks: reads a range of an object from a seed, as any peer does, and compares it with our copy.
//!
//! **Invariant:** `Different` is reported only after the digest of our copy was proven again, so that damage on our disk
//! is never reported as a seed's fault, and only of a seed that says it holds the whole object: bytes of a running fetch
//! are not proven yet.
//! Only seeds of our cluster are read, and at most one chunk.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use oci::{Digest, Location};
use store::{RemovalReason, Sealed};
use tokio::time::timeout;
use tracing::warn;
use wire::{SPOT_CHECK_BYTES, SpotCheck, SpotCheckOutcome};

use super::context::OrdersContext;

/// Limit for one chunk on a busy link.
const READ_LIMIT: Duration = Duration::from_secs(15);

pub(super) async fn compare(orders: &OrdersContext, check: &SpotCheck, location: &str) -> SpotCheckOutcome {
    let compared = compared(orders, check, location).await;
    compared.unwrap_or_else(|why| SpotCheckOutcome::Nothing { why })
}

async fn compared(
    orders: &OrdersContext,
    check: &SpotCheck,
    location: &str,
) -> Result<SpotCheckOutcome, String> {
    let is_it = |seed: &wire::SeedAddress| seed.share_url == check.share_url;
    if !orders.neighbours.seeds().iter().any(is_it) {
        return Err("this peer does not know the seed".to_owned());
    }
    let digest: Digest = check.digest.parse().map_err(in_words)?;
    let location: Location = location.parse().map_err(in_words)?;
    let own = orders.store.sealed(&digest);
    let own = own.ok_or_else(|| "this peer does not hold the object".to_owned())?;
    let range =
        range_of(check, own.size).ok_or_else(|| "the range does not lie within the object".to_owned())?;
    let reading = read_from_seed(orders, check, &digest, &location, range.clone(), own.size);
    let given = timeout(READ_LIMIT, reading).await;
    let given = given.map_err(|_| format!("the seed sent nothing within {} s", READ_LIMIT.as_secs()))??;
    if given == Some(read_own(&own, range).await?) {
        return Ok(SpotCheckOutcome::Equal);
    }
    if is_sound(&own).await? {
        return Ok(SpotCheckOutcome::Different);
    }
    warn!(stoker.digest = %digest, stoker.side = "peer", "own copy was damaged and is removed");
    let removed = orders.store.remove(&digest, RemovalReason::Damaged).await;
    removed.map_err(in_words)?;
    Ok(SpotCheckOutcome::OwnDamaged)
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Returns the range, unless it is empty, longer than a spot check, or outside of the object.
fn range_of(check: &SpotCheck, size: u64) -> Option<Range<u64>> {
    let end = check.first.checked_add(check.length)?;
    let fits = check.length > 0 && check.length <= SPOT_CHECK_BYTES && end <= size;
    fits.then_some(check.first..end)
}

/// Reads the range from a seed that says it has proven the whole object. None: the seed's object has another size, or the
/// response another length.
async fn read_from_seed(
    orders: &OrdersContext,
    check: &SpotCheck,
    digest: &Digest,
    location: &Location,
    range: Range<u64>,
    size: u64,
) -> Result<Option<Bytes>, String> {
    let length = range.end - range.start;
    let peers = orders.fetches.peers();
    let vouched = peers.chunks(&check.share_url, digest, location).await;
    vouched.map_err(in_words)?;
    let opened = peers
        .object(&check.share_url, digest, location, Some(range))
        .await;
    let mut shared = opened.map_err(in_words)?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = shared.bytes.try_next().await.map_err(in_words)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > length {
            return Ok(None);
        }
    }
    let fits = shared.size == size && bytes.len() as u64 == length;
    Ok(fits.then(|| bytes.freeze()))
}

async fn read_own(own: &Sealed, range: Range<u64>) -> Result<Bytes, String> {
    let pieces = own.read(range).await.map_err(in_words)?;
    let pieces: Vec<Bytes> = pieces.try_collect().await.map_err(in_words)?;
    Ok(pieces.concat().into())
}

/// Returns whether our copy still has its digest.
async fn is_sound(own: &Sealed) -> Result<bool, String> {
    let mut hash = own.digest.hasher();
    let mut pieces = Box::pin(own.read(0..own.size).await.map_err(in_words)?);
    while let Some(piece) = pieces.try_next().await.map_err(in_words)? {
        hash.update(&piece);
    }
    Ok(hash.finish() == own.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_reads_one_piece_within_the_object() {
        let of = |first, length| {
            let check = SpotCheck {
                digest: String::new(),
                share_url: String::new(),
                first,
                length,
            };
            range_of(&check, 3 * SPOT_CHECK_BYTES)
        };
        assert_eq!(of(5, 7), Some(5..12));
        assert_eq!(of(0, SPOT_CHECK_BYTES), Some(0..SPOT_CHECK_BYTES));
        for (first, length) in [
            (0, 0),
            (0, SPOT_CHECK_BYTES + 1),
            (3 * SPOT_CHECK_BYTES, 1),
            (u64::MAX, 2),
        ] {
            assert_eq!(of(first, length), None, "{first} {length}");
        }
    }
}
