//! One value in force, as `config show` prints it.

use std::fmt;

use serde_json::Value;

use crate::source::ValueSource;

/// Shown instead of a secret.
const MASK: &str = "***";

/// One value in force and where it comes from. A secret is never in here.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Dotted and in full.
    pub key: String,
    pub value: Value,
    pub source: ValueSource,
}

impl Entry {
    /// The value that is shown for a secret.
    pub(crate) fn masked() -> Value {
        Value::from(MASK)
    }
}

/// `key = value  # where it comes from`
impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} = {}  # {}", self.key, self.value, self.source)
    }
}
