//! The words that the API writes for values of the domain.

use wire::{ObjectKind, Role, Side};

pub(super) fn side_word(side: Side) -> String {
    side.word().to_owned()
}

pub(super) fn role_word(role: Role) -> String {
    role.word().to_owned()
}

pub(super) fn kind_word(kind: ObjectKind) -> String {
    let word = match kind {
        ObjectKind::Manifest => "manifest",
        ObjectKind::Blob => "blob",
    };
    word.to_owned()
}
