//! How a spot check of a seed ends.

/// How a spot check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpotCheckOutcome {
    /// The seed gave the right bytes.
    Sound,
    /// No other live peer of the cluster holds the object.
    NoWitness,
    /// No witness could compare.
    Unanswered,
    /// Different bytes by one witness, or by several that count as one.
    Suspected,
    /// Different bytes by one witness and equal ones by another.
    Contradicted,
    /// Different bytes by two witnesses: the seed is removed.
    Removed,
}

impl SpotCheckOutcome {
    pub(crate) const ALL: [Self; 6] = [
        Self::Sound,
        Self::NoWitness,
        Self::Unanswered,
        Self::Suspected,
        Self::Contradicted,
        Self::Removed,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::NoWitness => "no_witness",
            Self::Unanswered => "unanswered",
            Self::Suspected => "suspected",
            Self::Contradicted => "contradicted",
            Self::Removed => "removed",
        }
    }
}
