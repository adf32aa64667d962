//! That an object was here and why it went, so that a miss can be explained later.
//!
//! **Invariant:** what is remembered is bounded: the last [`REMEMBERED`], give or take [`SLACK`].

/// Removals that are remembered.
pub(super) const REMEMBERED: usize = 10_000;
/// Forgetting is done for so many at once, as it has to look at all.
pub(super) const SLACK: usize = 200;

/// Why an object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemovalReason {
    /// Somebody asked for it.
    Asked,
    /// Room was needed.
    Evicted,
    /// Its files were not what they should be.
    Damaged,
    /// Nobody used it for longer than unused objects are kept.
    Unused,
    /// The manager had its image taken off every peer.
    Recalled,
}

impl RemovalReason {
    pub const ALL: [Self; 5] = [
        Self::Asked,
        Self::Evicted,
        Self::Damaged,
        Self::Unused,
        Self::Recalled,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Evicted => "evicted",
            Self::Damaged => "damaged",
            Self::Unused => "unused",
            Self::Recalled => "recalled",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) fn number(self) -> usize {
        self as usize
    }
}

/// When an object went, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    pub at_unix_ms: i64,
    pub why: RemovalReason,
}

impl Removal {
    pub(super) fn now(why: RemovalReason) -> Self {
        Self {
            at_unix_ms: process::clock::unix_ms(),
            why,
        }
    }

    /// The time, then the reason: the index reads the time of thousands at once.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&self.at_unix_ms.to_be_bytes(), self.why.word().as_bytes()].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, word) = bytes.split_first_chunk::<8>()?;
        let why = RemovalReason::ALL
            .into_iter()
            .find(|reason| reason.word().as_bytes() == word)?;
        Some(Self {
            at_unix_ms: i64::from_be_bytes(*time),
            why,
        })
    }
}

/// The keys of the oldest of `remembered`, so many that [`REMEMBERED`] are left.
pub(super) fn surplus(mut remembered: Vec<(String, Box<[u8]>)>) -> Vec<String> {
    let too_many = remembered.len().saturating_sub(REMEMBERED);
    // What cannot be read is as good as old.
    remembered.sort_by_key(|(_, value)| Removal::from_bytes(value).map(|removal| removal.at_unix_ms));
    remembered.truncate(too_many);
    remembered.into_iter().map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_read_as_it_was_written() {
        for why in RemovalReason::ALL {
            let removal = Removal { at_unix_ms: 7, why };
            assert_eq!(Removal::from_bytes(&removal.to_bytes()), Some(removal));
            assert_eq!(RemovalReason::ALL.get(why.number()), Some(&why));
        }
        assert_eq!(Removal::from_bytes(b"short"), None);
    }
}
