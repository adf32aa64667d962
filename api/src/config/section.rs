//! Reads one table of a configuration file key by key, noting every fault and every key that nobody asked for.

use std::fmt::Display;
use std::str::FromStr;

use process::config::Faults;
use toml::{Table, Value};

use super::spelling::nearest;

/// A table, and the keys that were asked for: whatever is left over at the end is unknown.
pub(crate) struct Section {
    /// Dotted, with its dot at the end; empty for the top of the file.
    path: String,
    left: Table,
    known: Vec<&'static str>,
}

impl Section {
    pub(crate) fn top(table: Table) -> Self {
        Self {
            path: String::new(),
            left: table,
            known: Vec::new(),
        }
    }

    /// The table `[key]`; an empty one when it is not there.
    pub(crate) fn table(&mut self, key: &'static str, faults: &mut Faults) -> Self {
        let path = format!("{}.", self.full(key));
        let left = self.take(key, faults, "a table", |value| match value {
            Value::Table(table) => Some(table),
            _ => None,
        });
        Self {
            path,
            left: left.unwrap_or_default(),
            known: Vec::new(),
        }
    }

    /// The tables `[key."name"]`, by name.
    pub(crate) fn named_tables(&mut self, key: &'static str, faults: &mut Faults) -> Vec<(String, Self)> {
        let outer = self.table(key, faults);
        let mut found = Vec::new();
        for (name, value) in outer.left {
            let path = format!("{}\"{name}\"", outer.path);
            match value {
                Value::Table(left) => {
                    let section = Self {
                        path: format!("{path}."),
                        left,
                        known: Vec::new(),
                    };
                    found.push((name, section));
                }
                _ => faults.add(&path, format!("must be a table; write [{key}.\"name\"]")),
            }
        }
        found
    }

    /// The tables `[[key]]`, in their order.
    pub(crate) fn tables(&mut self, key: &'static str, faults: &mut Faults) -> Vec<Self> {
        let path = self.full(key);
        let tables = self.take(
            key,
            faults,
            "tables: write [[…]] with this name",
            |value| match value {
                Value::Array(values) => values
                    .into_iter()
                    .map(|value| match value {
                        Value::Table(table) => Some(table),
                        _ => None,
                    })
                    .collect::<Option<Vec<Table>>>(),
                _ => None,
            },
        );
        let tables = tables.unwrap_or_default().into_iter().enumerate();
        tables
            .map(|(n, left)| Self {
                path: format!("{path}[{}].", n + 1),
                left,
                known: Vec::new(),
            })
            .collect()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    pub(crate) fn text(&mut self, key: &'static str, faults: &mut Faults) -> Option<String> {
        self.take(key, faults, "text in quotes", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(crate) fn switch(&mut self, key: &'static str, faults: &mut Faults) -> Option<bool> {
        self.take(key, faults, "true or false", |value| value.as_bool())
    }

    /// Text that `T` can read.
    pub(crate) fn parsed<T>(&mut self, key: &'static str, faults: &mut Faults) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(key, faults)?;
        faults.check(&self.full(key), text.parse())
    }

    pub(crate) fn duration(&mut self, key: &'static str, faults: &mut Faults) -> Option<std::time::Duration> {
        let text = self.take(key, faults, "a time such as \"300s\"", |value| match value {
            Value::String(text) => Some(text),
            Value::Integer(seconds) => Some(seconds.to_string()),
            _ => None,
        })?;
        faults.check(&self.full(key), process::config::duration(&text))
    }

    pub(crate) fn count(&mut self, key: &'static str, faults: &mut Faults) -> Option<u32> {
        self.take(key, faults, "a whole number, 0 or more", |value| {
            value.as_integer().and_then(|number| number.try_into().ok())
        })
    }

    /// With a fraction or without.
    pub(crate) fn number(&mut self, key: &'static str, faults: &mut Faults) -> Option<f64> {
        self.take(key, faults, "a number", |value| match value {
            Value::Integer(whole) => i32::try_from(whole).ok().map(f64::from),
            other => other.as_float(),
        })
    }

    pub(crate) fn list<T>(&mut self, key: &'static str, faults: &mut Faults) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        let texts = self.take(key, faults, "a list of texts", |value| match value {
            Value::Array(values) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect::<Option<Vec<String>>>(),
            _ => None,
        });
        let path = self.full(key);
        let parsed = texts.unwrap_or_default().into_iter();
        parsed
            .filter_map(|text| faults.check(&path, text.parse()))
            .collect()
    }

    /// Every key that was not asked for is a fault; the one that may have been meant is named.
    pub(crate) fn end(self, faults: &mut Faults) {
        for key in self.left.keys() {
            let meant = match nearest(key, &self.known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            faults.add(&format!("{}{key}", self.path), format!("unknown key; {meant}"));
        }
    }

    /// The key as faults name it.
    pub(crate) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        wanted: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.left.remove(key)?;
        let read = read(value);
        if read.is_none() {
            faults.add(&self.full(key), format!("must be {wanted}"));
        }
        read
    }
}

/// What the keys of a table hold, for a table that something else reads once its shape is right.
pub(crate) struct Shape {
    pub(crate) texts: &'static [&'static str],
    pub(crate) switches: &'static [&'static str],
    pub(crate) lists: &'static [&'static str],
    /// Whole numbers.
    pub(crate) counts: &'static [&'static str],
}

impl Section {
    /// The keys of `shape` whose values have the right type; everything else is a fault.
    pub(crate) fn shaped(mut self, shape: &Shape, faults: &mut Faults) -> Table {
        let mut good = Table::new();
        for key in shape.texts {
            let value = self.text(key, faults).map(Value::String);
            good.extend(value.map(|value| ((*key).to_owned(), value)));
        }
        for key in shape.switches {
            let value = self.switch(key, faults).map(Value::Boolean);
            good.extend(value.map(|value| ((*key).to_owned(), value)));
        }
        for key in shape.lists {
            let values: Vec<String> = self.list(key, faults);
            let values = values.into_iter().map(Value::String).collect();
            good.insert((*key).to_owned(), Value::Array(values));
        }
        for key in shape.counts {
            let value = self.count(key, faults).map(|count| Value::Integer(count.into()));
            good.extend(value.map(|value| ((*key).to_owned(), value)));
        }
        self.end(faults);
        good
    }
}
