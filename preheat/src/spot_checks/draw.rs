//! The random choices of a spot check.

/// Random numbers of one spot check.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    pub placement: u64,
    pub piece: u64,
    pub witness: u64,
}

impl Draw {
    pub(crate) fn random() -> Self {
        Self {
            placement: rand::random(),
            piece: rand::random(),
            witness: rand::random(),
        }
    }
}
