//! The faults of a configuration.

use std::fmt;

use crate::source::ValueSource;

/// The kind of a fault. Tests and programs decide by the kind, never by the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The file is not valid TOML.
    Syntax,
    UnknownKey,
    /// The key is from an older version.
    FormerKey,
    /// The value does not have the type of the key.
    WrongType,
    BadValue,
    /// The value names a file that cannot be read.
    UnreadableFile,
    /// A required value is missing. A flag can set it too.
    NotGiven,
    /// The key is missing, and another key of the same section needs it.
    Incomplete,
}

/// One fault, with its key and the source of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The full dotted name: `registry."r.lan".proxy`.
    pub key: String,
    pub kind: FaultKind,
    pub text: String,
    /// `None` if there is no value.
    pub source: Option<ValueSource>,
}

/// All faults of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    faults: Vec<Fault>,
    /// Settings that are accepted but should be written in another way.
    pub warnings: Vec<String>,
}

impl Faults {
    /// Sorts faults by their position in the file; faults without a position come first.
    pub(crate) fn sorted(mut faults: Vec<Fault>, warnings: Vec<String>) -> Self {
        faults.sort_by_key(position);
        // A section that is read twice notes its faults twice.
        faults.dedup();
        Self { faults, warnings }
    }

    pub fn one(fault: Fault) -> Self {
        Self::sorted(vec![fault], Vec::new())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub fn len(&self) -> usize {
        self.faults.len()
    }

    /// Removes the faults of missing values that a flag or a variable can set.
    #[must_use]
    pub fn of_the_file(mut self) -> Self {
        self.faults.retain(|fault| fault.kind != FaultKind::NotGiven);
        self
    }
}

fn position(fault: &Fault) -> Option<(usize, usize)> {
    let place = fault.source.as_ref()?.place()?;
    Some((place.line, place.column))
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{}", self.text)?;
        match &self.source {
            None | Some(ValueSource::Default) => Ok(()),
            Some(source) => write!(out, " ({source})"),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the configuration has {} fault(s):", self.faults.len())?;
        self.faults
            .iter()
            .try_for_each(|fault| write!(out, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
