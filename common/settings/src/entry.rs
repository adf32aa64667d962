//! One effective value, as `config show` prints it.

use std::fmt;

use serde_json::Value;

use crate::source::ValueSource;

/// Shown instead of a secret.
const MASK: &str = "***";

/// One effective value and its source. It never holds a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The full dotted name.
    pub key: String,
    pub value: Value,
    pub source: ValueSource,
}

impl Entry {
    /// Returns the value that is shown for a secret.
    pub(crate) fn masked() -> Value {
        Value::from(MASK)
    }
}

/// `key = value  # source`
impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} = {}  # {}", self.key, self.value, self.source)
    }
}
