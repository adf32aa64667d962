//! The output of `config show` and `config check`, the same in both programs.

use std::path::Path;

use serde_json::{Value, json};

use crate::entry::Entry;
use crate::fault::{Fault, Faults};
use crate::reader::Read;
use crate::source::ValueSource;

/// Text for standard output, and whether the configuration is good.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub text: String,
    pub is_good: bool,
}

impl Report {
    /// Lists the effective values, each with its source; or every fault.
    pub fn show<T>(read: &Result<Read<T>, Faults>, as_json: bool) -> Self {
        match read {
            Ok(read) if as_json => Self::good(listed(read.entries.iter().map(value_of_entry))),
            Ok(read) => {
                let warnings = read
                    .warnings
                    .iter()
                    .map(|warning| format!("# warning: {warning}"));
                let entries = read.entries.iter().map(Entry::to_string);
                Self::good(warnings.chain(entries).collect::<Vec<_>>().join("\n"))
            }
            Err(faults) => Self::faulty(faults, as_json),
        }
    }

    /// Checks a file and lists its faults. A missing value that a flag or variable can set is not a fault of the file.
    pub fn check<T>(file: &Path, read: Result<Read<T>, Faults>, as_json: bool) -> Self {
        let warnings = match read.map_err(Faults::of_the_file) {
            Err(faults) if !faults.is_empty() => return Self::faulty(&faults, as_json),
            Err(faults) => faults.warnings,
            Ok(read) => read.warnings,
        };
        if as_json {
            return Self::good("[]".to_owned());
        }
        let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
        let verdict = std::iter::once(format!("{}: no faults", file.display()));
        Self::good(warnings.chain(verdict).collect::<Vec<_>>().join("\n"))
    }

    fn good(text: String) -> Self {
        Self { text, is_good: true }
    }

    fn faulty(faults: &Faults, as_json: bool) -> Self {
        let text = if as_json {
            listed(faults.iter().map(value_of_fault))
        } else {
            faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
        };
        Self { text, is_good: false }
    }
}

fn listed(values: impl Iterator<Item = Value>) -> String {
    format!("{:#}", values.collect::<Value>())
}

fn value_of_entry(entry: &Entry) -> Value {
    json!({"key": entry.key, "value": entry.value, "source": entry.source.to_string()})
}

fn value_of_fault(fault: &Fault) -> Value {
    let source = fault.source.as_ref().map(ValueSource::to_string);
    json!({"key": fault.key, "kind": fault.kind, "text": fault.text, "source": source})
}
