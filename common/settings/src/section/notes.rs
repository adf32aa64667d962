//! The notes that a section makes while it is read: faults, former keys, and the values that `config show` prints.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use super::Section;
use crate::entry::Entry;
use crate::fault::{Fault, FaultKind};
use crate::raw::Raw;
use crate::source::ValueSource;
use crate::units;

impl Section<'_> {
    /// Refuses a key of an older version, with advice on what replaces it.
    pub fn refuse_former(&self, key: &'static str, advice: &str) {
        self.input.notes.borrow_mut().add_former_key(&self.path, key);
        if let Some(source) = self.source_of(key) {
            self.note(self.full(key), FaultKind::FormerKey, advice, Some(source));
        }
    }

    /// Reads a duration that moved to another section. If only the former section sets it, it is accepted with a warning.
    pub fn moved_duration(&self, key: &'static str, to: &Self) -> Option<Duration> {
        self.input.notes.borrow_mut().add_former_key(&self.path, key);
        let Some(source) = self.source_of(key) else {
            return to.duration(key);
        };
        let moved = format!("moved to [{}]", to.path);
        if to.has(key) {
            to.add_key(key);
            let text = format!("{moved}, which sets it too: remove this line");
            self.note(self.full(key), FaultKind::FormerKey, text, Some(source));
            return None;
        }
        to.add_key(key);
        let warning = format!("{}: {moved}: move the line there ({source})", self.full(key));
        self.input.notes.borrow_mut().warnings.push(warning);
        let text = self.raw(key, "a duration such as \"300s\"", Raw::time)?;
        let time = self.check(key, units::duration(&text))?;
        to.show(key, units::shown_duration(time).into(), source);
        Some(time)
    }

    /// Returns the value; notes an error as a fault of `key`.
    pub fn check<T, E: Display>(&self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|fault| self.fault(key, fault)).ok()
    }

    /// Notes that the value of `key` is bad.
    pub fn fault(&self, key: &str, text: impl Display) {
        self.note(self.full(key), FaultKind::BadValue, text, self.source_of(key));
    }

    /// Notes that the section itself is bad.
    pub fn fault_of_section(&self, text: impl Display) {
        self.note(self.path.clone(), FaultKind::BadValue, text, self.source.clone());
    }

    /// Notes that the file that `key` names cannot be read.
    pub fn unreadable(&self, key: &str, text: impl Display) {
        self.note(
            self.full(key),
            FaultKind::UnreadableFile,
            text,
            self.source_of(key),
        );
    }

    /// Notes that the section is not complete without `key`.
    pub fn incomplete(&self, key: &str, text: impl Display) {
        self.note(self.full(key), FaultKind::Incomplete, text, self.source.clone());
    }

    /// Returns the value; notes a fault if neither a flag, nor a variable, nor the file sets it.
    pub fn needed<T>(&self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.source_of(key).is_none() {
            let flag = key.replace('_', "-");
            let text = format!("missing: give --{flag}, or set {key} in the configuration file");
            self.note(self.full(key), FaultKind::NotGiven, text, None);
        }
        value
    }

    pub(super) fn wrong_type(&self, key: &str, expected: &str) {
        let text = format!("must be {expected}");
        self.note(self.full(key), FaultKind::WrongType, text, self.source_of(key));
    }

    pub(super) fn note(&self, key: String, kind: FaultKind, text: impl Display, source: Option<ValueSource>) {
        self.notes(|notes| {
            notes.faults.push(Fault {
                key,
                kind,
                text: text.to_string(),
                source,
            });
        });
    }

    /// Shows the default of a key that is not set.
    pub fn default(&self, key: &str, value: impl Into<Value>) {
        if self.source_of(key).is_none() {
            self.show(key, value.into(), ValueSource::Default);
        }
    }

    /// Shows the default duration of a key that is not set.
    pub fn default_duration(&self, key: &str, time: Duration) {
        self.default(key, units::shown_duration(time));
    }

    /// Shows a value from an environment variable that is not the variable of a flag.
    pub fn shown_from_variable(&self, key: &str, value: impl Into<Value>, variable: &str) {
        self.show(key, value.into(), ValueSource::Variable(variable.to_owned()));
    }

    /// Shows this value for a key that is set, instead of its spelling in the source.
    pub fn show_as(&self, key: &str, value: impl Into<Value>) {
        if let Some(source) = self.source_of(key) {
            self.show(key, value.into(), source);
        }
    }

    /// Shows that the key is set, without its value.
    pub fn mask(&self, key: &str) {
        self.show_as(key, Entry::masked());
    }

    pub(super) fn show(&self, key: &str, value: Value, source: ValueSource) {
        let key = self.full(key);
        self.notes(|notes| {
            notes.entries.retain(|entry| entry.key != key);
            notes.entries.push(Entry { key, value, source });
        });
    }
}
