//! Reads one configuration from its file, environment and flags.

use std::collections::BTreeSet;

use crate::entry::Entry;
use crate::fault::Faults;
use crate::file::SettingsFile;
use crate::given::Given;
use crate::input::{Input, Notes};
use crate::section::Section;

/// One reading of a configuration. It notes every fault and every effective value.
pub struct Reader<'f>(Input<'f>);

/// A configuration without faults, and its values as `config show` prints them.
#[derive(Debug)]
pub struct Read<T> {
    pub value: T,
    pub entries: Vec<Entry>,
    /// Settings that are accepted but should be written in another way.
    pub warnings: Vec<String>,
}

impl<'f> Reader<'f> {
    /// # Errors
    /// The file is not valid TOML.
    pub fn new(file: &'f SettingsFile, given: Given) -> Result<Self, Faults> {
        Ok(Self(Input {
            table: file.parse()?,
            file,
            given,
            notes: Notes::default().into(),
        }))
    }

    /// Returns the top-level table.
    pub fn top(&self) -> Section<'_> {
        Section::top(&self.0)
    }

    /// Returns the full names of all keys that were read so far, whether the file has them or not.
    pub fn known_keys(&self) -> BTreeSet<String> {
        self.0.notes.borrow().known_keys()
    }

    /// Ends the reading of a whole configuration. A key of the file that no section knows is a fault. `value` must be
    /// `Some` if there is no fault.
    ///
    /// # Errors
    /// All faults. Faults in the file are in its order.
    pub fn finish<T>(self, value: Option<T>) -> Result<Read<T>, Faults> {
        let unknown = self.0.unknown_keys();
        self.finish_with(value, unknown)
    }

    /// Ends the reading of some keys. Other keys of the file are not checked.
    ///
    /// # Errors
    /// All faults of these keys.
    pub fn finish_part<T>(self, value: Option<T>) -> Result<Read<T>, Faults> {
        self.finish_with(value, Vec::new())
    }

    fn finish_with<T>(self, value: Option<T>, unknown: Vec<crate::Fault>) -> Result<Read<T>, Faults> {
        let notes = self.0.notes.into_inner();
        let mut faults = notes.faults;
        faults.extend(unknown);
        let mut entries = notes.entries;
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries.dedup_by(|one, other| one.key == other.key);
        match value.filter(|_| faults.is_empty()) {
            Some(value) => Ok(Read {
                value,
                entries,
                warnings: notes.warnings,
            }),
            None => Err(Faults::sorted(faults, notes.warnings)),
        }
    }
}

#[cfg(test)]
mod tests;
