//! What is wrong with a configuration.

use std::fmt;

use crate::source::ValueSource;

/// What kind of fault it is; tests and programs decide by this and never by the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The file is no TOML.
    Syntax,
    UnknownKey,
    /// The key is from an older version.
    FormerKey,
    /// The value is of another type than the key's.
    WrongType,
    BadValue,
    /// The value names a file that cannot be read.
    UnreadableFile,
    /// A value is needed that a flag may give too.
    NotGiven,
    /// Another key of the same section needs this one.
    Incomplete,
}

/// One fault, with its key and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted and in full: `registry."r.lan".proxy`.
    pub key: String,
    pub kind: FaultKind,
    pub text: String,
    /// None where there is no value.
    pub source: Option<ValueSource>,
}

/// All faults of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    faults: Vec<Fault>,
    /// What is understood but should be written in another way.
    pub warnings: Vec<String>,
}

impl Faults {
    /// What comes first in the file comes first here; what no file says comes before.
    pub(crate) fn sorted(mut faults: Vec<Fault>, warnings: Vec<String>) -> Self {
        faults.sort_by_key(position);
        // Two readers of one section find the same.
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

    /// Leaves out faults for which a value was not given: a flag or a variable may give it.
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
