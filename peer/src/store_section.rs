//! `[store]`: how much of the disk the store may take, and how long it keeps what nobody uses.

use process::config::{Faults, duration};
use serde::Deserialize;
use store::{Amount, StoreLimits};

const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// As it is written down; nothing has to be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// `200GiB`: the most that our objects may take.
    pub quota: Option<String>,
    /// `80%`: the same, of the disk's size.
    pub quota_share: Option<String>,
    /// `5GiB` or `5%`: what the disk has to have left, whoever fills it.
    pub keep_free: Option<String>,
    /// `30d`: what nobody used for so long goes.
    pub keep_unused: Option<String>,
}

impl StoreSection {
    pub fn read(&self, faults: &mut Faults) -> StoreLimits {
        let mut limits = StoreLimits::of_a_good_neighbour();
        if let Some(text) = &self.quota {
            limits.quota = faults.check("store.quota", bytes(text));
        }
        if let Some(text) = &self.quota_share {
            limits.quota_share = faults.check("store.quota_share", share(text));
        }
        if let Some(text) = &self.keep_free {
            limits.keep_free = faults
                .check("store.keep_free", amount(text))
                .into_iter()
                .collect();
        }
        if let Some(text) = &self.keep_unused {
            limits.keep_unused = faults.check("store.keep_unused", duration(text));
        }
        limits
    }
}

fn amount(text: &str) -> Result<Amount, String> {
    if text.trim_end().ends_with('%') {
        share(text).map(Amount::Share)
    } else {
        bytes(text).map(Amount::Bytes)
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no amount of bytes; write for example 200GiB, 500GB or 1TiB");
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let of_unit = UNITS.iter().find(|(name, _)| *name == unit);
    let number: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
    of_unit
        .and_then(|(_, bytes)| number.checked_mul(*bytes))
        .ok_or_else(wrong)
}

/// From 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.trim().strip_suffix('%').map(str::trim_end);
    percent
        .and_then(|percent| percent.parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is no share of a disk; write for example 80%"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use process::config::read_toml;

    use super::*;

    fn read(section: &str) -> Result<StoreLimits, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), section).expect("written");
        let section: StoreSection =
            read_toml(Some(file.path())).map_err(|faults: Faults| faults.to_string())?;
        let mut faults = Faults::default();
        let limits = section.read(&mut faults);
        faults.none().map_err(|faults| faults.to_string())?;
        Ok(limits)
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let text = "quota = \"200GiB\"\nquota_share = \"80 %\"\nkeep_free = \"5GB\"\nkeep_unused = \"30d\"";
        let limits = read(text).expect("understood");
        assert_eq!(limits.quota, Some(200 << 30));
        assert_eq!(limits.quota_of(1 << 30), Some(858_993_459));
        assert_eq!(limits.keep_free, [Amount::Bytes(5_000_000_000)]);
        assert_eq!(limits.keep_unused, Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(
            read("keep_free = \"5%\"").expect("understood").keep_free,
            [Amount::Share(0.05)]
        );
    }

    #[test]
    fn nothing_written_keeps_a_little_of_the_disk_free() {
        let limits = read("").expect("nothing is needed");
        assert_eq!(limits, StoreLimits::of_a_good_neighbour());
        assert_eq!(limits.quota_of(1 << 40), None);
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_key() {
        for (wrong, key) in [
            ("quota = \"much\"", "store.quota: "),
            ("quota = \"-1GiB\"", "store.quota: "),
            ("quota = \"99999999999TiB\"", "store.quota: "),
            ("quota_share = \"0.8\"", "store.quota_share: "),
            ("quota_share = \"101%\"", "store.quota_share: "),
            ("keep_free = \"5gib\"", "store.keep_free: "),
            ("keep_unused = \"long\"", "store.keep_unused: "),
            ("qota = \"5GiB\"", "unknown field"),
        ] {
            let told = read(wrong).expect_err(wrong);
            assert!(told.contains(key), "{wrong}: {told}");
        }
    }
}
