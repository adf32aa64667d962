//! One table of a configuration, read key by key.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::entry::Entry;
use crate::fault::{Fault, FaultKind};
use crate::input::{Input, Notes, joined, numbered};
use crate::raw::Raw;
use crate::source::ValueSource;
use crate::units;

/// A table of the file, with what flags and variables give for its keys.
#[derive(Clone)]
pub struct Section<'r> {
    input: &'r Input<'r>,
    /// Dotted; empty for the top of the file.
    path: String,
    /// None where the file has no such table.
    table: Option<&'r DeTable<'r>>,
    source: Option<ValueSource>,
}

/// Whether `config show` may print the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Plain,
    Masked,
}

impl<'r> Section<'r> {
    pub(crate) fn top(input: &'r Input<'r>) -> Self {
        Self::at(input, String::new(), Some(&input.table), None)
    }

    fn at(
        input: &'r Input<'r>,
        path: String,
        table: Option<&'r DeTable<'r>>,
        source: Option<ValueSource>,
    ) -> Self {
        input.notes.borrow_mut().opened(&path);
        Self {
            input,
            path,
            table,
            source,
        }
    }

    /// The full name of a key, as faults name it.
    pub fn full(&self, key: &str) -> String {
        joined(&self.path, key)
    }

    /// Whether the key is set anywhere.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    // Tables.

    /// The table `[key]`; an empty one when there is none.
    pub fn table(&self, key: &'static str) -> Self {
        self.know(key);
        let found = self.in_file(key);
        let table = found.and_then(|value| match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.wrong_type(key, "a table");
                None
            }
        });
        let source = found.map(|value| self.input.source(&value.span()));
        Self::at(self.input, self.full(key), table, source)
    }

    /// The tables `[key."name"]`, by name.
    pub fn named_tables(&self, key: &'static str) -> Vec<(String, Self)> {
        self.know(key);
        let path = self.full(key);
        match self.in_file(key).map(Spanned::get_ref) {
            None => Vec::new(),
            Some(DeValue::Table(outer)) => {
                let named = outer.iter();
                named
                    .filter_map(|(name, value)| self.named_table(key, &path, name, value))
                    .collect()
            }
            Some(_) => {
                self.wrong_type(key, "a table");
                Vec::new()
            }
        }
    }

    fn named_table(
        &self,
        key: &str,
        path: &str,
        name: &Spanned<Cow<'r, str>>,
        value: &'r Spanned<DeValue<'r>>,
    ) -> Option<(String, Self)> {
        let path = joined(path, &format!("\"{}\"", name.get_ref()));
        let source = self.input.source(&name.span());
        let DeValue::Table(table) = value.get_ref() else {
            let text = format!("must be a table; write [{key}.\"name\"]");
            self.note(path, FaultKind::WrongType, text, Some(source));
            return None;
        };
        let section = Self::at(self.input, path, Some(table), Some(source));
        Some((name.get_ref().clone().into_owned(), section))
    }

    /// The tables `[[key]]`, in their order.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        self.know(key);
        let Some(value) = self.in_file(key) else {
            return Vec::new();
        };
        let tables = match value.get_ref() {
            DeValue::Array(values) => values.iter().map(as_table).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let Some(tables) = tables else {
            self.wrong_type(key, "tables: write [[…]] with this name");
            return Vec::new();
        };
        let path = self.full(key);
        let source = self.input.source(&value.span());
        let tables = tables.into_iter().enumerate();
        tables
            .map(|(at, table)| Self::at(self.input, numbered(&path, at), Some(table), Some(source.clone())))
            .collect()
    }

    // Values.

    pub fn text(&self, key: &'static str) -> Option<String> {
        self.take(key, "text in quotes", Shown::Plain, Raw::text)
    }

    pub fn text_or(&self, key: &'static str, default: &str) -> String {
        let found = self.text(key);
        self.default(key, default);
        found.unwrap_or_else(|| default.to_owned())
    }

    /// `host:port`
    pub fn address_or(&self, key: &'static str, default: &str) -> String {
        let address = self.text_or(key, default);
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if !port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            let text = format!("`{address}` is no host:port; write for example {default}");
            self.fault(key, text);
        }
        address
    }

    /// Text that is never shown.
    pub fn secret(&self, key: &'static str) -> Option<String> {
        self.take(key, "text in quotes", Shown::Masked, Raw::text)
    }

    /// A secret that only a flag or variable may give.
    pub fn given_secret(&self, key: &str) -> Option<String> {
        let (text, source) = self.input.given.get(&self.full(key))?;
        self.show(key, Entry::masked(), source.clone());
        Some(text.to_string_lossy().into_owned())
    }

    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.take(key, "text in quotes", Shown::Plain, Raw::path)
    }

    /// The content of the file that the key names.
    pub fn file_content(&self, key: &'static str) -> Option<String> {
        let path = self.path(key)?;
        self.readable(key, &path)
    }

    /// The content of a file; a fault of `key` if it cannot be read.
    pub fn readable(&self, key: &str, path: &Path) -> Option<String> {
        let read = std::fs::read_to_string(path);
        read.map_err(|error| self.unreadable(key, &format!("{}: {error}", path.display())))
            .ok()
    }

    pub fn switch(&self, key: &'static str) -> Option<bool> {
        self.take(key, "true or false", Shown::Plain, Raw::switch)
    }

    pub fn switch_or(&self, key: &'static str, default: bool) -> bool {
        let found = self.switch(key);
        self.default(key, default);
        found.unwrap_or(default)
    }

    /// A whole number, 0 or more.
    pub fn count(&self, key: &'static str) -> Option<u32> {
        self.take(key, "a whole number, 0 or more", Shown::Plain, Raw::count)
    }

    /// With a fraction or without.
    pub fn number(&self, key: &'static str) -> Option<f64> {
        self.take(key, "a number", Shown::Plain, Raw::number)
    }

    /// Text that `T` can read.
    pub fn parsed<T>(&self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(key)?;
        self.check(key, text.parse())
    }

    /// One of the words that `T` is written as.
    pub fn choice<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        self.check(key, serde_json::from_value(Value::String(text)))
    }

    /// A time: `90s`, or a whole number of seconds.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let text = self.take(key, "a time such as \"300s\"", Shown::Plain, Raw::time)?;
        let time = self.check(key, units::duration(&text))?;
        self.show_as(key, units::shown_duration(time));
        Some(time)
    }

    pub fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        let found = self.duration(key);
        self.default_duration(key, default);
        found.unwrap_or(default)
    }

    /// An amount of bytes: `200GiB`.
    pub fn bytes(&self, key: &'static str) -> Option<u64> {
        let text = self.text(key)?;
        let bytes = self.check(key, units::bytes(&text))?;
        self.show_as(key, units::shown_bytes(bytes));
        Some(bytes)
    }

    pub fn list<T>(&self, key: &'static str) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        let texts = self.take(key, "a list of texts", Shown::Plain, Raw::texts);
        let texts = texts.unwrap_or_default().into_iter();
        texts.filter_map(|text| self.check(key, text.parse())).collect()
    }

    // Former keys.

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

    // Faults.

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

    fn wrong_type(&self, key: &str, expected: &str) {
        let text = format!("must be {expected}");
        self.note(self.full(key), FaultKind::WrongType, text, self.source_of(key));
    }

    fn note(&self, key: String, kind: FaultKind, text: impl Display, source: Option<ValueSource>) {
        self.notes(|notes| {
            notes.faults.push(Fault {
                key,
                kind,
                text: text.to_string(),
                source,
            });
        });
    }

    // What is shown.

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

    fn show(&self, key: &str, value: Value, source: ValueSource) {
        let key = self.full(key);
        self.notes(|notes| {
            notes.entries.retain(|entry| entry.key != key);
            notes.entries.push(Entry { key, value, source });
        });
    }

    // Finding.

    fn take<T: Serialize>(
        &self,
        key: &'static str,
        expected: &str,
        shown: Shown,
        read: impl FnOnce(&Raw<'r>) -> Option<T>,
    ) -> Option<T> {
        self.know(key);
        let value = self.raw(key, expected, read)?;
        let entry = match shown {
            Shown::Plain => serde_json::to_value(&value).unwrap_or_default(),
            Shown::Masked => Entry::masked(),
        };
        self.show_as(key, entry);
        Some(value)
    }

    fn raw<T>(&self, key: &str, expected: &str, read: impl FnOnce(&Raw<'r>) -> Option<T>) -> Option<T> {
        let (raw, _) = self.find(key)?;
        let value = read(&raw);
        if value.is_none() {
            self.wrong_type(key, expected);
        }
        value
    }

    fn find(&self, key: &str) -> Option<(Raw<'r>, ValueSource)> {
        if let Some((text, source)) = self.input.given.get(&self.full(key)) {
            return Some((Raw::Text(text), source.clone()));
        }
        let value = self.in_file(key)?;
        Some((Raw::Toml(value.get_ref()), self.input.source(&value.span())))
    }

    fn in_file(&self, key: &str) -> Option<&'r Spanned<DeValue<'r>>> {
        self.table?.get(key)
    }

    /// Where the value of a key comes from, if it is set.
    pub fn source_of(&self, key: &str) -> Option<ValueSource> {
        self.find(key).map(|(_, source)| source)
    }

    fn know(&self, key: &'static str) {
        self.notes(|notes| notes.knows(&self.path, key));
    }

    fn notes(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.input.notes.borrow_mut());
    }
}

fn as_table<'r>(value: &'r Spanned<DeValue<'r>>) -> Option<&'r DeTable<'r>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}
