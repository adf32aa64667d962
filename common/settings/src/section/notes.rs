//! What a section notes while it is read: faults, former keys, and what `config show` prints.

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
    /// Refuses a key of an older version and says what to do instead.
    pub fn refuse_former(&self, key: &'static str, advice: &str) {
        self.input.notes.borrow_mut().knows_former(&self.path, key);
        if let Some(source) = self.source_of(key) {
            self.note(self.full(key), FaultKind::FormerKey, advice, Some(source));
        }
    }

    /// A time that moved to another section. Where only the former place has it, it is taken with a warning.
    pub fn moved_duration(&self, key: &'static str, to: &Self) -> Option<Duration> {
        self.input.notes.borrow_mut().knows_former(&self.path, key);
        let Some(source) = self.source_of(key) else {
            return to.duration(key);
        };
        let place = format!("moved to [{}]", to.path);
        if to.has(key) {
            to.know(key);
            let text = format!("{place}, which has it too: remove it here");
            self.note(self.full(key), FaultKind::FormerKey, text, Some(source));
            return None;
        }
        to.know(key);
        let warning = format!("{}: {place}: move the line there ({source})", self.full(key));
        self.input.notes.borrow_mut().warnings.push(warning);
        let text = self.raw(key, "a time such as \"300s\"", Raw::time)?;
        let time = self.check(key, units::duration(&text))?;
        to.show(key, units::shown_duration(time).into(), source);
        Some(time)
    }

    /// The value, or its fault under `key`.
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

    /// The value; a fault where neither a flag, nor a variable, nor the file gives it.
    pub fn needed<T>(&self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.source_of(key).is_none() {
            let flag = key.replace('_', "-");
            let text = format!("is needed: give --{flag}, or {key} in the configuration file");
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

    /// The same of a time.
    pub fn default_duration(&self, key: &str, time: Duration) {
        self.default(key, units::shown_duration(time));
    }

    /// Shows a value that a variable gives which no argument declares.
    pub fn shown_from_variable(&self, key: &str, value: impl Into<Value>, variable: &str) {
        self.show(key, value.into(), ValueSource::Variable(variable.to_owned()));
    }

    /// Shows the value of a key that is set in another spelling.
    pub fn show_as(&self, key: &str, value: impl Into<Value>) {
        if let Some(source) = self.source_of(key) {
            self.show(key, value.into(), source);
        }
    }

    /// Shows that the key is set, and not what it holds.
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
