//! Rates in bytes per second, with units.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const KIB: u64 = 1 << 10;
/// A lower limit would delay a transfer for longer than runtimes wait.
const SLOWEST: u64 = 64 * KIB;

const UNITS: [(&str, u64); 12] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", KIB),
    ("MB", 1_000_000),
    ("MiB", KIB << 10),
    ("GB", 1_000_000_000),
    ("GiB", KIB << 20),
    ("bit", 0),
    ("kbit", 125),
    ("Mbit", 125_000),
    ("Gbit", 125_000_000),
];
/// The units for display, largest first.
const SHOWN: [&str; 6] = ["GiB", "GB", "MiB", "MB", "KiB", "kB"];

/// Bytes per second, at least 64 KiB: `100MiB/s`, `1Gbit/s`, or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rate(NonZeroU64);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRate {
    #[error("`{0}` is not a rate: write for example 100MiB/s, 12MB/s or 1Gbit/s")]
    Unreadable(String),
    #[error("`{0}` is too little: write at least 64KiB/s, because runtimes give up on slower transfers")]
    TooLittle(String),
}

impl Rate {
    /// Returns this rate, or the slowest one if it is lower.
    pub fn at_least(bytes_per_second: u64) -> Self {
        Self(NonZeroU64::new(bytes_per_second.max(SLOWEST)).unwrap_or(NonZeroU64::MAX))
    }

    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    /// Returns one of `shares` equal shares.
    #[must_use]
    pub fn shared_by(self, shares: u64) -> Self {
        Self::at_least(self.0.get() / shares.max(1))
    }
}

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let unreadable = || BadRate::Unreadable(text.to_owned());
        let trimmed = text.trim();
        let amount = trimmed.strip_suffix("/s").unwrap_or(trimmed);
        let digits = amount.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = amount.get(digits.len()..).unwrap_or_default();
        let number: u64 = digits.trim_end().parse().map_err(|_| unreadable())?;
        let bytes = match unit {
            "" => Some(number),
            "bit" => Some(number / 8),
            unit => {
                let (_, bytes) = UNITS
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(unreadable)?;
                number.checked_mul(*bytes)
            }
        };
        let bytes = bytes.ok_or_else(unreadable)?;
        if bytes < SLOWEST {
            return Err(BadRate::TooLittle(text.to_owned()));
        }
        NonZeroU64::new(bytes).map(Self).ok_or_else(unreadable)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        let whole = |name: &&str| {
            let (_, unit) = UNITS.iter().find(|(known, _)| known == name)?;
            bytes.is_multiple_of(*unit).then(|| bytes / unit)
        };
        let shown = SHOWN.iter().find_map(|name| Some((name, whole(name)?)));
        match shown {
            Some((unit, number)) => write!(out, "{number}{unit}/s"),
            None => write!(out, "{bytes}B/s"),
        }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for Rate {
    type Error = BadRate;

    fn try_from(text: String) -> Result<Self, BadRate> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> u64 {
        text.parse::<Rate>().expect("a rate").bytes_per_second()
    }

    #[test]
    fn rates_with_usual_units_are_parsed() {
        assert_eq!(bytes("100MiB/s"), 100 << 20);
        assert_eq!(bytes("100 MiB/s"), 100 << 20);
        assert_eq!(bytes("12MB/s"), 12_000_000);
        assert_eq!(bytes("1Gbit/s"), 125_000_000);
        assert_eq!(bytes("8000000bit/s"), 1_000_000);
        assert_eq!(bytes("65536"), 65_536);
        assert_eq!(bytes("2GiB"), 2 << 30);
        for wrong in [
            "",
            "fast",
            "MiB/s",
            "-1MiB/s",
            "1.5MiB/s",
            "10MiB/m",
            "1mb/s",
            "99999999999GiB/s",
        ] {
            assert!(
                matches!(wrong.parse::<Rate>(), Err(BadRate::Unreadable(_))),
                "{wrong}"
            );
        }
        for little in ["0", "0MiB/s", "65535", "1kB/s"] {
            assert!(
                matches!(little.parse::<Rate>(), Err(BadRate::TooLittle(_))),
                "{little}"
            );
        }
    }

    #[test]
    fn a_displayed_rate_parses_to_itself() {
        for (text, shown) in [
            ("100MiB/s", "100MiB/s"),
            ("1Gbit/s", "125MB/s"),
            ("1000000000", "1GB/s"),
            ("65537", "65537B/s"),
            ("2GiB/s", "2GiB/s"),
        ] {
            let rate: Rate = text.parse().expect("a rate");
            assert_eq!(rate.to_string(), shown);
            assert_eq!(shown.parse(), Ok(rate));
            let json = serde_json::to_string(&rate).expect("json");
            assert_eq!(serde_json::from_str::<Rate>(&json).expect("a rate"), rate);
        }
    }

    #[test]
    fn a_share_is_never_zero() {
        let rate = Rate::at_least(1 << 20);
        assert_eq!(rate.shared_by(4).bytes_per_second(), 1 << 18);
        assert_eq!(rate.shared_by(0), rate);
        assert_eq!(rate.shared_by(1 << 30).bytes_per_second(), SLOWEST);
    }
}
