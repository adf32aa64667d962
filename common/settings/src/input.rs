//! The input of one reading, and the notes that its sections make.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::entry::Entry;
use crate::fault::{Fault, FaultKind};
use crate::file::SettingsFile;
use crate::given::Given;
use crate::nearest::nearest;
use crate::source::ValueSource;

/// A file, the flags and variables that win over it, and the notes of one reading.
pub(crate) struct Input<'f> {
    pub(crate) file: &'f SettingsFile,
    pub(crate) table: DeTable<'f>,
    pub(crate) given: Given,
    pub(crate) notes: RefCell<Notes>,
}

#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) faults: Vec<Fault>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) warnings: Vec<String>,
    /// The keys that each table may have, by the path of the table.
    known: BTreeMap<String, KnownKeys>,
}

#[derive(Default)]
struct KnownKeys {
    current: BTreeSet<&'static str>,
    /// Keys of older versions: not unknown, but never suggested.
    former: BTreeSet<&'static str>,
}

impl Notes {
    pub(crate) fn add_table(&mut self, path: &str) {
        self.known.entry(path.to_owned()).or_default();
    }

    pub(crate) fn add_key(&mut self, path: &str, key: &'static str) {
        self.known.entry(path.to_owned()).or_default().current.insert(key);
    }

    pub(crate) fn add_former_key(&mut self, path: &str, key: &'static str) {
        self.known.entry(path.to_owned()).or_default().former.insert(key);
    }

    /// Returns the full names of all current keys.
    pub(crate) fn known_keys(&self) -> BTreeSet<String> {
        let in_table = |(path, keys): (&String, &KnownKeys)| {
            let full: Vec<String> = keys.current.iter().map(|key| joined(path, key)).collect();
            full
        };
        self.known.iter().flat_map(in_table).collect()
    }
}

impl Input<'_> {
    pub(crate) fn source(&self, span: &Range<usize>) -> ValueSource {
        ValueSource::File(self.file.place(span.start))
    }

    /// Returns a fault for each key of the file that no section knows.
    pub(crate) fn unknown_keys(&self) -> Vec<Fault> {
        let mut found = Vec::new();
        self.unknown_keys_below("", &self.table, &mut found);
        found
    }

    fn unknown_keys_below(&self, path: &str, table: &DeTable<'_>, found: &mut Vec<Fault>) {
        let notes = self.notes.borrow();
        let known = notes.known.get(path);
        for (key, value) in table {
            let name: &str = key.get_ref();
            match known {
                Some(known) if !known.has(name) => found.push(Fault {
                    key: joined(path, name),
                    kind: FaultKind::UnknownKey,
                    text: format!("unknown key; {}", known.suggestion(name)),
                    source: Some(self.source(&key.span())),
                }),
                // The table of `[key."name"]`: its keys are names, and each of its tables is checked by itself.
                None => self.unknown_keys_in(&joined(path, &format!("\"{name}\"")), value.get_ref(), found),
                Some(_) => self.unknown_keys_in(&joined(path, name), value.get_ref(), found),
            }
        }
    }

    fn unknown_keys_in(&self, path: &str, value: &DeValue<'_>, found: &mut Vec<Fault>) {
        match value {
            DeValue::Table(table) => self.unknown_keys_below(path, table, found),
            DeValue::Array(values) => {
                for (at, value) in values.iter().enumerate() {
                    self.unknown_keys_in(&numbered(path, at), value.get_ref(), found);
                }
            }
            _ => {}
        }
    }
}

impl KnownKeys {
    fn has(&self, key: &str) -> bool {
        self.current.contains(key) || self.former.contains(key)
    }

    fn suggestion(&self, key: &str) -> String {
        let known: Vec<&str> = self.current.iter().copied().collect();
        match nearest(key, &known) {
            Some(known) => format!("did you mean `{known}`?"),
            None if known.is_empty() => "no keys are valid here".to_owned(),
            None => format!("valid keys: {}", known.join(", ")),
        }
    }
}

/// Returns the full name of `key` in the table at `path`.
pub(crate) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Returns the path of one table of `[[path]]`; it counts from 1.
pub(crate) fn numbered(path: &str, at: usize) -> String {
    format!("{path}[{}]", at + 1)
}
