//! Classes of objects.

use wire::ObjectKind;

/// How an object is fetched, and when: manifests first, then configs, then layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Manifest = 0,
    Config = 1,
    Layer = 2,
}

pub(crate) fn kind_of(class: i32) -> ObjectKind {
    if class == 0 {
        ObjectKind::Manifest
    } else {
        ObjectKind::Blob
    }
}
