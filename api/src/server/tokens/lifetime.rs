//! How long a token is good for, as people write it: `365d`, `12h`, `30m`.

use std::str::FromStr;
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Between one minute and ten years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(Duration);

impl Lifetime {
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl Default for Lifetime {
    fn default() -> Self {
        Self(Duration::from_hours(365 * 24))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no lifetime: write a number and w, d, h or m, for example 365d; from 1m to 10 years")]
pub struct BadLifetime {
    given: String,
}

impl FromStr for Lifetime {
    type Err = BadLifetime;

    fn from_str(text: &str) -> Result<Self, BadLifetime> {
        read(text)
            .filter(|lifetime| (Duration::from_mins(1)..=LONGEST).contains(lifetime))
            .map(Self)
            .ok_or_else(|| BadLifetime {
                given: text.chars().take(40).collect(),
            })
    }
}

fn read(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        'w' => 7 * 24 * 3600,
        'd' => 24 * 3600,
        'h' => 3600,
        'm' => 60,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("365d", 31_536_000),
            ("12h", 43_200),
            ("1m", 60),
            ("2w", 1_209_600),
        ] {
            assert_eq!(
                text.parse::<Lifetime>().expect(text).duration(),
                Duration::from_secs(seconds)
            );
        }
    }

    #[test]
    fn what_is_no_lifetime_is_refused() {
        for text in [
            "",
            "d",
            "0d",
            "365",
            "-1d",
            "1y",
            "99999999999999999999d",
            "18446744073709551615w",
            "4000d",
            "1é",
        ] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }
}
