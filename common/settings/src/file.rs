//! A configuration file: its text, and the position of each value in it.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::fault::{Fault, FaultKind, Faults};
use crate::source::{Place, ValueSource};

/// The text of a configuration file; empty if there is no file.
#[derive(Debug, Default)]
pub struct SettingsFile {
    path: PathBuf,
    text: String,
}

impl SettingsFile {
    /// # Errors
    /// The file cannot be read.
    pub fn open(path: Option<&Path>) -> Result<Self, Faults> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::with(path, text)),
            Err(error) => Err(Faults::one(Fault {
                key: "config".to_owned(),
                kind: FaultKind::UnreadableFile,
                text: format!("{}: {error}", path.display()),
                source: None,
            })),
        }
    }

    /// Makes a file of this text. It need not exist on the disk.
    pub fn with(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Returns the table, or every syntax error. The errors do not repeat the text, which may hold secrets.
    pub(crate) fn parse(&self) -> Result<DeTable<'_>, Faults> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(table.into_inner());
        }
        let fault = |error: &toml::de::Error| Fault {
            key: String::new(),
            kind: FaultKind::Syntax,
            text: format!("not valid TOML: {}", error.message()),
            source: error.span().map(|span| ValueSource::File(self.place(span.start))),
        };
        Err(Faults::sorted(errors.iter().map(fault).collect(), Vec::new()))
    }

    /// Returns the line and column of a byte.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}
