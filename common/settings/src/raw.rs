//! A value from the file, a flag or a variable, before it is parsed.

use std::ffi::OsStr;
use std::path::PathBuf;

use toml::de::DeValue;

/// A value before it is parsed. Each method returns `None` if the type does not fit.
pub(crate) enum Raw<'r> {
    Toml(&'r DeValue<'r>),
    /// From a flag or a variable.
    Text(&'r OsStr),
}

impl Raw<'_> {
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Toml(DeValue::String(text)) => Some(text.clone().into_owned()),
            Self::Toml(_) => None,
            Self::Text(text) => Some(text.to_string_lossy().into_owned()),
        }
    }

    pub(crate) fn switch(&self) -> Option<bool> {
        match self {
            Self::Toml(DeValue::Boolean(switch)) => Some(*switch),
            Self::Toml(_) => None,
            Self::Text(text) => text.to_str()?.parse().ok(),
        }
    }

    fn whole(&self) -> Option<i64> {
        match self {
            Self::Toml(DeValue::Integer(number)) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            Self::Toml(_) => None,
            Self::Text(text) => text.to_str()?.parse().ok(),
        }
    }

    pub(crate) fn count(&self) -> Option<u32> {
        self.whole()?.try_into().ok()
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Toml(DeValue::Float(number)) => number.as_str().parse().ok(),
            Self::Toml(_) => self
                .whole()
                .and_then(|whole| i32::try_from(whole).ok())
                .map(f64::from),
            Self::Text(text) => text.to_str()?.parse().ok(),
        }
    }

    /// Returns the text of a duration; a bare number is seconds.
    pub(crate) fn time(&self) -> Option<String> {
        match self {
            Self::Toml(DeValue::Integer(_)) => self.whole().map(|seconds| seconds.to_string()),
            _ => self.text(),
        }
    }

    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Toml(DeValue::Array(values)) => values
                .iter()
                .map(|value| Raw::Toml(value.get_ref()).text())
                .collect(),
            _ => None,
        }
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Toml(_) => self.text().map(PathBuf::from),
            Self::Text(text) => Some(PathBuf::from(text)),
        }
    }
}
