//! The cells of the matrix: how a registry behaves, and what a caller wants of it.
//!
//! **Invariant:** a cell's repository names its behaviour and its use, so a failure can be repeated by its name, and no
//! two cells share an object.

use std::fmt;

/// How the registry answers HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    Ok,
    NotFound,
    NotAllowed,
    Forbidden,
    LengthZero,
    /// To a storage whose URLs are signed for GET, and that refuses HEAD.
    Redirect,
}

/// How the registry sends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Length,
    Chunked,
    /// Each response breaks off after [`super::odd_registry::CUT_AFTER`] bytes.
    Cut,
    /// With a `Content-Encoding` that is only a label.
    Labelled,
}

/// How the registry has callers sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignIn {
    Nothing,
    Basic,
    Bearer,
    /// A token works a few times; then the registry answers 403 without a challenge.
    ForbiddenOnExpiry,
}

/// What the tag leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Schema2,
    Oci,
    List,
    Nested,
}

/// What the caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Preheat,
    PullByTag,
    PullByDigest,
    Range,
}

/// One registry behaviour and one use of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) sign_in: SignIn,
    pub(crate) root: Root,
    pub(crate) used: Use,
}

const HEADS: [(Head, &str); 6] = [
    (Head::Ok, "head-ok"),
    (Head::NotFound, "head-404"),
    (Head::NotAllowed, "head-405"),
    (Head::Forbidden, "head-403"),
    (Head::LengthZero, "head-length-0"),
    (Head::Redirect, "head-redirect"),
];
const BODIES: [(Body, &str); 4] = [
    (Body::Length, "length"),
    (Body::Chunked, "chunked"),
    (Body::Cut, "cut"),
    (Body::Labelled, "labelled"),
];
const SIGN_INS: [(SignIn, &str); 4] = [
    (SignIn::Nothing, "public"),
    (SignIn::Basic, "basic"),
    (SignIn::Bearer, "bearer"),
    (SignIn::ForbiddenOnExpiry, "forbidden-on-expiry"),
];
const ROOTS: [(Root, &str); 4] = [
    (Root::Schema2, "schema2"),
    (Root::Oci, "oci"),
    (Root::List, "list"),
    (Root::Nested, "nested"),
];
const USES: [(Use, &str); 4] = [
    (Use::Preheat, "preheat"),
    (Use::PullByTag, "by-tag"),
    (Use::PullByDigest, "by-digest"),
    (Use::Range, "range"),
];

/// Returns every cell.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (head, _) in HEADS {
        for (body, _) in BODIES {
            for (sign_in, _) in SIGN_INS {
                for (root, _) in ROOTS {
                    cells.extend(USES.iter().map(|(used, _)| Cell {
                        head,
                        body,
                        sign_in,
                        root,
                        used: *used,
                    }));
                }
            }
        }
    }
    cells
}

impl Cell {
    /// Reads a cell from its repository.
    pub(crate) fn of_repository(repository: &str) -> Option<Self> {
        let mut parts = repository.split('/');
        Some(Self {
            head: named(&HEADS, parts.next()?)?,
            body: named(&BODIES, parts.next()?)?,
            sign_in: named(&SIGN_INS, parts.next()?)?,
            root: named(&ROOTS, parts.next()?)?,
            used: named(&USES, parts.next()?)?,
        })
    }
}

/// The cell's repository.
impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            name_of(&HEADS, self.head),
            name_of(&BODIES, self.body),
            name_of(&SIGN_INS, self.sign_in),
            name_of(&ROOTS, self.root),
            name_of(&USES, self.used),
        ];
        out.write_str(&parts.join("/"))
    }
}

fn named<T: Copy>(values: &[(T, &str)], name: &str) -> Option<T> {
    values
        .iter()
        .find(|(_, other)| *other == name)
        .map(|(value, _)| *value)
}

fn name_of<T: Copy + PartialEq>(values: &[(T, &'static str)], value: T) -> &'static str {
    values
        .iter()
        .find(|(other, _)| *other == value)
        .map_or("unnamed", |(_, name)| name)
}
