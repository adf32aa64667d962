//! Placements that have just closed: how many, how they ended, and on whose side.

use std::collections::BTreeMap;

use wire::Side;

/// Counts of closed placements. Those that failed because their peer left are in `left`, and also in the failures of
/// side `peer`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) verified: i64,
    /// In the order of [`Side::ALL`].
    failed: [i64; Side::ALL.len()],
    pub(crate) left: i64,
    /// Bytes of verified placements.
    pub(crate) bytes: i64,
    pub(crate) from_registry: u64,
    pub(crate) from_peers: u64,
}

/// The placements that closed in one transaction, by preheat.
pub(crate) type ClosedByPreheat = BTreeMap<i64, Closed>;

impl Closed {
    pub(crate) fn failed(count: i64, side: Side) -> Self {
        let mut closed = Self::default();
        closed.add_failed(count, side);
        closed
    }

    pub(crate) fn left(left: i64) -> Self {
        Self {
            left,
            ..Self::failed(left, Side::Peer)
        }
    }

    pub(crate) fn add_failed(&mut self, count: i64, side: Side) {
        let of_side = Side::ALL.iter().position(|one| *one == side);
        if let Some(failed) = of_side.and_then(|at| self.failed.get_mut(at)) {
            *failed += count;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.verified += other.verified;
        self.left += other.left;
        self.bytes += other.bytes;
        self.from_registry += other.from_registry;
        self.from_peers += other.from_peers;
        for (side, failed) in other.failures() {
            self.add_failed(failed, side);
        }
    }

    pub(crate) fn failures(self) -> impl Iterator<Item = (Side, i64)> {
        std::iter::zip(Side::ALL, self.failed)
    }

    pub(crate) fn all_failed(self) -> i64 {
        self.failed.iter().sum()
    }

    pub(crate) fn count(self) -> i64 {
        self.verified + self.all_failed()
    }

    /// Returns one word, for a span.
    pub(crate) fn outcome(self) -> &'static str {
        match (self.verified, self.all_failed()) {
            (0, 0) => "nothing",
            (_, 0) => "verified",
            (0, _) => "failed",
            _ => "mixed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_the_sides_apart() {
        let mut sum = Closed {
            verified: 3,
            ..Closed::failed(1, Side::Registry)
        };
        sum.add(Closed::left(2));
        sum.add(Closed::failed(4, Side::Registry));
        let failures: Vec<_> = sum.failures().filter(|(_, failed)| *failed > 0).collect();
        assert_eq!(failures, [(Side::Registry, 5), (Side::Peer, 2)]);
        assert_eq!((sum.count(), sum.all_failed(), sum.left), (10, 7, 2));
    }

    #[test]
    fn an_outcome_is_one_word() {
        let verified = Closed {
            verified: 1,
            ..Closed::default()
        };
        let failed = Closed::failed(1, Side::Peer);
        let mut mixed = verified;
        mixed.add(failed);
        let words = [Closed::default(), verified, failed, mixed].map(Closed::outcome);
        assert_eq!(words, ["nothing", "verified", "failed", "mixed"]);
    }
}
