//! Reads the value of a key by its type.
//!
//! Each method returns `None` if the key is not set, or if its value is bad. A bad value is noted as a fault.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use process::trust::TrustedCertificates;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Section;
use crate::entry::Entry;
use crate::raw::Raw;
use crate::units;

/// Whether `config show` may print the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Plain,
    Masked,
}

impl<'r> Section<'r> {
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.take(key, "a quoted string", Shown::Plain, Raw::text)
    }

    pub fn text_or(&self, key: &'static str, default: &str) -> String {
        let found = self.text(key);
        self.default(key, default);
        found.unwrap_or_else(|| default.to_owned())
    }

    /// Reads `host:port`.
    pub fn address_or(&self, key: &'static str, default: &str) -> String {
        let address = self.text_or(key, default);
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            let text = format!("`{address}` is not host:port: write for example {default}");
            self.fault(key, text);
        }
        address
    }

    /// Reads a string that is never shown.
    pub fn secret(&self, key: &'static str) -> Option<String> {
        self.take(key, "a quoted string", Shown::Masked, Raw::text)
    }

    /// Reads a secret that only a flag or variable may set, never the file.
    pub fn given_secret(&self, key: &str) -> Option<String> {
        let (text, source) = self.input.given.get(&self.full(key))?;
        self.show(key, Entry::masked(), source.clone());
        Some(text.to_string_lossy().into_owned())
    }

    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.take(key, "a quoted string", Shown::Plain, Raw::path)
    }

    /// Reads the file that the key names, and returns its content.
    pub fn file_content(&self, key: &'static str) -> Option<String> {
        let path = self.path(key)?;
        self.readable(key, &path)
    }

    /// Returns the content of a file. A file that cannot be read is a fault of `key`.
    pub fn readable(&self, key: &str, path: &Path) -> Option<String> {
        let read = std::fs::read_to_string(path);
        read.map_err(|error| self.unreadable(key, format_args!("{}: {error}", path.display())))
            .ok()
    }

    /// Reads the certificates of a PEM file, and returns them without anything else that the file holds.
    pub fn certificates(&self, key: &'static str) -> Option<String> {
        let path = self.path(key)?;
        // Comments in a bundle are in any encoding.
        let read = std::fs::read(&path);
        let pem = read.map_err(|error| self.unreadable(key, format_args!("{}: {error}", path.display())));
        let certificates = TrustedCertificates::read(&pem.ok()?);
        let fault = format!("{} has no certificate in PEM", path.display());
        self.check(key, certificates.ok_or(fault))
            .map(|found| found.to_pem())
    }

    pub fn switch(&self, key: &'static str) -> Option<bool> {
        self.take(key, "true or false", Shown::Plain, Raw::switch)
    }

    pub fn switch_or(&self, key: &'static str, default: bool) -> bool {
        let found = self.switch(key);
        self.default(key, default);
        found.unwrap_or(default)
    }

    /// Reads a whole number, 0 or more.
    pub fn count(&self, key: &'static str) -> Option<u32> {
        self.take(key, "a whole number, 0 or more", Shown::Plain, Raw::count)
    }

    /// Reads a number, with or without a fraction.
    pub fn number(&self, key: &'static str) -> Option<f64> {
        self.take(key, "a number", Shown::Plain, Raw::number)
    }

    /// Reads a string and parses it as `T`.
    pub fn parsed<T>(&self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(key)?;
        self.check(key, text.parse())
    }

    /// Like [`Self::parsed`], for values with several spellings. `config show` prints the normal spelling.
    pub fn unit<T>(&self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display> + Display,
    {
        let value: T = self.parsed(key)?;
        self.show_as(key, value.to_string());
        Some(value)
    }

    /// Reads one of the words that `T` deserializes from.
    pub fn choice<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        let text = self.text(key)?;
        self.check(key, serde_json::from_value(Value::String(text)))
    }

    /// Reads a duration: `90s`, or a whole number of seconds.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let text = self.take(key, "a duration such as \"300s\"", Shown::Plain, Raw::time)?;
        let time = self.check(key, units::duration(&text))?;
        self.show_as(key, units::shown_duration(time));
        Some(time)
    }

    pub fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        let found = self.duration(key);
        self.default_duration(key, default);
        found.unwrap_or(default)
    }

    /// Reads a size in bytes: `200GiB`.
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
        let texts = self.take(key, "a list of quoted strings", Shown::Plain, Raw::texts);
        let texts = texts.unwrap_or_default().into_iter();
        texts.filter_map(|text| self.check(key, text.parse())).collect()
    }

    fn take<T: Serialize>(
        &self,
        key: &'static str,
        expected: &str,
        shown: Shown,
        read: impl FnOnce(&Raw<'r>) -> Option<T>,
    ) -> Option<T> {
        self.add_key(key);
        let value = self.raw(key, expected, read)?;
        let entry = match shown {
            Shown::Plain => serde_json::to_value(&value).unwrap_or_default(),
            Shown::Masked => Entry::masked(),
        };
        self.show_as(key, entry);
        Some(value)
    }

    pub(super) fn raw<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Raw<'r>) -> Option<T>,
    ) -> Option<T> {
        let (raw, _) = self.find(key)?;
        let value = read(&raw);
        if value.is_none() {
            self.wrong_type(key, expected);
        }
        value
    }
}
