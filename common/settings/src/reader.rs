//! Reads one configuration from its file, environment and flags.

use std::collections::BTreeSet;

use crate::entry::Entry;
use crate::fault::Faults;
use crate::file::SettingsFile;
use crate::given::Given;
use crate::input::{Input, Notes};
use crate::section::Section;

/// One reading. It notes every fault, and every value in force.
pub struct Reader<'f>(Input<'f>);

/// A configuration that was read, and what `config show` prints of it.
#[derive(Debug)]
pub struct Read<T> {
    pub value: T,
    pub entries: Vec<Entry>,
    /// What is understood but should be written in another way.
    pub warnings: Vec<String>,
}

impl<'f> Reader<'f> {
    /// # Errors
    /// The file is no TOML.
    pub fn new(file: &'f SettingsFile, given: Given) -> Result<Self, Faults> {
        Ok(Self(Input {
            table: file.parse()?,
            file,
            given,
            notes: Notes::default().into(),
        }))
    }

    /// The top of the file.
    pub fn top(&self) -> Section<'_> {
        Section::top(&self.0)
    }

    /// The full names of all keys that were read so far, whether they are in the file or not.
    pub fn known_keys(&self) -> BTreeSet<String> {
        self.0.notes.borrow().known_keys()
    }

    /// Ends the reading of a whole configuration: keys of the file that nothing has read are unknown. Without a fault
    /// there is a value.
    ///
    /// # Errors
    /// All faults, those in the file in its order.
    pub fn finish<T>(self, value: Option<T>) -> Result<Read<T>, Faults> {
        let unknown = self.0.unknown_keys();
        self.finish_with(value, unknown)
    }

    /// Ends the reading of a few keys: the others are not looked at.
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
