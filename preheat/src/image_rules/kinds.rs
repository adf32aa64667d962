//! The kinds of image rules, as the database has them.

pub(crate) const PIN: &str = "pin";

pub(crate) const BLOCK: &str = "block";

pub(crate) const RECALL: &str = "recall";
