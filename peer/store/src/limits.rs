//! How much of a disk the store may take. Pure calculation.
//!
//! **Invariant:** only the store's own objects count against the quota. Other files on the disk count only when
//! they leave less than must be kept free.

use std::time::Duration;

/// Bytes, or a share of the disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    Bytes(u64),
    /// From 0 to 1.
    Share(f64),
}

/// The limits that an operator sets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoreLimits {
    /// The most that objects may take.
    pub quota: Option<u64>,
    /// The same as a share of the disk's size. The smaller of the two counts.
    pub quota_share: Option<f64>,
    /// Space to keep free on the disk. The smallest of these counts.
    pub keep_free: Vec<Amount>,
    /// Objects that were not used for this long are removed, even when there is room.
    pub keep_unused: Option<Duration>,
}

/// Size and free space of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    pub size: u64,
    pub free: u64,
}

/// What the store takes of the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StoreUsage {
    /// Sealed and partial objects, and what is promised to objects that are being fetched.
    pub(super) bytes: u64,
    /// The part of the promises that is not written yet: the disk shows it as free.
    pub(super) unwritten: u64,
}

impl StoreUsage {
    pub(super) fn add_unwritten(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.unwritten = self.unwritten.saturating_add(bytes);
    }
}

impl Amount {
    fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Share(share) => share_of(share, whole),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a disk, to the byte or nearly so"
)]
fn share_of(share: f64, whole: u64) -> u64 {
    (whole as f64 * share.clamp(0.0, 1.0)) as u64
}

impl StoreLimits {
    /// The default: all but a little of the disk.
    pub fn of_a_good_neighbour() -> Self {
        Self {
            keep_free: vec![Amount::Share(0.05), Amount::Bytes(5 * 1024 * 1024 * 1024)],
            ..Self::default()
        }
    }

    /// The quota on a disk of this size, if there is one.
    pub fn quota_of(&self, size: u64) -> Option<u64> {
        let share = self.quota_share.map(|share| share_of(share, size));
        self.quota.into_iter().chain(share).min()
    }

    fn keep_free_of(&self, size: u64) -> u64 {
        let amounts = self.keep_free.iter().map(|amount| amount.of(size));
        amounts.min().unwrap_or(0)
    }

    /// Bytes to evict so that what is promised fits.
    pub(super) fn excess(&self, disk: Disk, ours: StoreUsage) -> u64 {
        let over_quota = self
            .quota_of(disk.size)
            .map_or(0, |quota| ours.bytes.saturating_sub(quota));
        let asked_of_disk = self.keep_free_of(disk.size).saturating_add(ours.unwritten);
        over_quota.max(asked_of_disk.saturating_sub(disk.free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Disk = Disk {
        size: 1_000,
        free: 400,
    };

    fn ours(bytes: u64, unwritten: u64) -> StoreUsage {
        StoreUsage { bytes, unwritten }
    }

    #[test]
    fn the_smaller_quota_counts_and_foreign_files_do_not() {
        let limits = StoreLimits {
            quota: Some(300),
            quota_share: Some(0.2),
            ..StoreLimits::default()
        };
        assert_eq!(limits.quota_of(1_000), Some(200));
        // 600 of the disk are used, 50 of them by the store.
        assert_eq!(limits.excess(DISK, ours(200, 150)), 0);
        assert_eq!(limits.excess(DISK, ours(201, 151)), 1);
        assert_eq!(limits.excess(DISK, ours(250, 0)), 50);
    }

    #[test]
    fn free_space_counts_all_files_and_promises() {
        let limits = StoreLimits {
            keep_free: vec![Amount::Bytes(100), Amount::Share(0.05)],
            ..StoreLimits::default()
        };
        assert_eq!(limits.excess(DISK, ours(350, 350)), 0);
        assert_eq!(limits.excess(DISK, ours(351, 351)), 1);
        assert_eq!(limits.excess(DISK, ours(900, 351)), 1);
    }

    #[test]
    fn without_limits_the_disk_is_the_limit() {
        let limits = StoreLimits::default();
        assert_eq!(limits.excess(DISK, ours(900, 400)), 0);
        assert_eq!(limits.excess(DISK, ours(900, 401)), 1);
        assert_eq!(limits.excess(DISK, ours(u64::MAX, u64::MAX)), u64::MAX - 400);
    }
}
