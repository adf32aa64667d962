//! Classes of objects.

use wire::ObjectKind;

/// The class of an object is the order in which a peer fetches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A manifest or an index.
    Manifest = 0,
    Config = 1,
    Layer = 2,
}

impl Class {
    pub(crate) fn of(number: i32) -> Option<Self> {
        [Self::Manifest, Self::Config, Self::Layer]
            .into_iter()
            .find(|class| *class as i32 == number)
    }

    pub(crate) fn kind(self) -> ObjectKind {
        match self {
            Self::Manifest => ObjectKind::Manifest,
            Self::Config | Self::Layer => ObjectKind::Blob,
        }
    }
}
