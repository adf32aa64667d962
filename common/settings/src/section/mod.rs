//! One table of a configuration. It is read key by key.

mod notes;
mod values;

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::FaultKind;
use crate::input::{Input, Notes, joined, numbered};
use crate::raw::Raw;
use crate::source::ValueSource;

/// A table of the file, with the flags and variables that set its keys.
#[derive(Clone)]
pub struct Section<'r> {
    input: &'r Input<'r>,
    /// Dotted; empty for the top of the file.
    path: String,
    /// None where the file has no such table.
    table: Option<&'r DeTable<'r>>,
    source: Option<ValueSource>,
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
        input.notes.borrow_mut().add_table(&path);
        Self {
            input,
            path,
            table,
            source,
        }
    }

    /// Returns the full name of a key, as faults show it.
    pub fn full(&self, key: &str) -> String {
        joined(&self.path, key)
    }

    /// Whether a flag, a variable or the file sets the key.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Returns the table `[key]`; an empty one if the file does not have it.
    #[must_use]
    pub fn table(&self, key: &'static str) -> Self {
        self.add_key(key);
        let found = self.in_file(key);
        let table = found.and_then(as_table);
        if found.is_some() && table.is_none() {
            self.wrong_type(key, "a table");
        }
        let source = found.map(|value| self.input.source(&value.span()));
        Self::at(self.input, self.full(key), table, source)
    }

    /// Returns the tables `[key."name"]`, each with its name.
    pub fn named_tables(&self, key: &'static str) -> Vec<(String, Self)> {
        self.add_key(key);
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

    /// Returns the tables `[[key]]`, in the order of the file.
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        self.add_key(key);
        let Some(value) = self.in_file(key) else {
            return Vec::new();
        };
        let tables = match value.get_ref() {
            DeValue::Array(values) => values
                .iter()
                .enumerate()
                .map(|one| self.numbered(key, one))
                .collect(),
            _ => None,
        };
        tables.unwrap_or_else(|| {
            self.wrong_type(key, &format!("tables, each under [[{key}]]"));
            Vec::new()
        })
    }

    /// One of the tables `[[key]]`.
    fn numbered(&self, key: &str, (at, value): (usize, &'r Spanned<DeValue<'r>>)) -> Option<Self> {
        let (path, source) = (numbered(&self.full(key), at), self.input.source(&value.span()));
        Some(Self::at(self.input, path, Some(as_table(value)?), Some(source)))
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

    /// Returns where the value of a key comes from; `None` if it is not set.
    pub fn source_of(&self, key: &str) -> Option<ValueSource> {
        self.find(key).map(|(_, source)| source)
    }

    fn add_key(&self, key: &'static str) {
        self.notes(|notes| notes.add_key(&self.path, key));
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
