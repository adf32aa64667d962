//! When and why objects were removed, so that a miss can be explained later.
//!
//! **Invariant:** at most [`REMEMBERED`] plus [`SLACK`] removals are remembered.

/// Removals that are remembered.
pub(super) const REMEMBERED: usize = 10_000;
/// Old removals are dropped this many at a time, because each round looks at all of them.
pub(super) const SLACK: usize = 200;

/// Why an object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemovalReason {
    /// A person or a program requested it.
    Asked,
    /// Room was needed for another object.
    Evicted,
    /// Its files were damaged.
    Damaged,
    /// It was not used for longer than unused objects are kept.
    Unused,
    /// The manager recalled its image from all peers.
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

    /// Its index in [`Self::ALL`].
    pub(super) fn number(self) -> usize {
        self as usize
    }
}

/// When an object was removed, and why.
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

    /// The time is the first field, so that the index reads thousands of them quickly.
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

/// The keys of the oldest removals, so that [`REMEMBERED`] are left.
pub(super) fn surplus(mut remembered: Vec<(String, Box<[u8]>)>) -> Vec<String> {
    let too_many = remembered.len().saturating_sub(REMEMBERED);
    // Unreadable entries count as the oldest.
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
