//! Configuration files, and every fault of a configuration at once.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

/// What is wrong with a configuration, each with the key it stands under.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    pub fn add(&mut self, key: &str, fault: impl fmt::Display) {
        self.0.push(format!("{key}: {fault}"));
    }

    /// The value, or its fault noted under `key`.
    pub fn check<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|fault| self.add(key, fault)).ok()
    }

    /// Each with its key in front.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// `Ok` when nothing was found.
    pub fn none(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the configuration has {} fault(s):", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(out, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Reads a TOML file into `T`; no file is the default.
pub fn read_toml<T: DeserializeOwned + Default>(path: Option<&Path>) -> Result<T, Faults> {
    let Some(path) = path else { return Ok(T::default()) };
    let mut faults = Faults::default();
    let parsed = faults
        .check(
            "config",
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display())),
        )
        .and_then(|text| faults.check(&path.display().to_string(), toml::from_str(&text)));
    parsed.ok_or(faults)
}

/// `90s`, `10m`, `36h`, `365d`, `250ms`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => {
            return Err(format!(
                "`{other}` is no unit of time; write for example 90s, 10m, 36h or 365d"
            ));
        }
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit_ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no duration; write for example 90s, 10m, 36h or 365d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("365d"), Ok(Duration::from_secs(365 * 86_400)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        for wrong in ["", "s", "5 s", "-1s", "1y", "99999999999999999999d", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut faults = Faults::default();
        faults.add("listen", "no address");
        let _: Option<Duration> = faults.check("limits.absent_limit", duration("soon"));
        let told = faults.none().expect_err("two faults").to_string();
        assert!(
            told.contains("listen: ") && told.contains("limits.absent_limit: "),
            "{told}"
        );
    }
}
