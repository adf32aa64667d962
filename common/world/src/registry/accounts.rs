//! The accounts that every registry with sign-in knows.

/// Who may read and write everything, in registries that ask.
pub const USER: &str = "alice";
pub const PASSWORD: &str = "s3cret";
pub(super) const OTHER_USER: (&str, &str) = ("bob", "b0bs-word");
