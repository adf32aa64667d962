//! The results of spot checks of seeds.

use strum::{IntoStaticStr, VariantArray};

/// How a spot check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum SpotCheckVerdict {
    /// The seed sent the right bytes.
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

impl SpotCheckVerdict {
    pub(crate) fn word(self) -> &'static str {
        self.into()
    }
}
