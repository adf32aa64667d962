//! `[store]`: how much of the disk the store may use, and how long it keeps unused objects.

use settings::{Section, units};
use store::{Amount, StoreLimits};

/// Reads `[store]`. By default, a small part of the disk stays free.
pub(super) fn read(section: &Section<'_>) -> StoreLimits {
    let built_in = StoreLimits::of_a_good_neighbour();
    section.default("keep_free", "5% or 5 GiB, whichever is less");
    let keep_free = section.text("keep_free");
    let share_of_disk = section.text("quota_share");
    StoreLimits {
        quota: section.bytes("quota"),
        quota_share: share_of_disk.and_then(|text| section.check("quota_share", share(&text))),
        keep_free: match keep_free {
            Some(text) => section.check("keep_free", amount(&text)).into_iter().collect(),
            None => built_in.keep_free,
        },
        keep_unused: section.duration("keep_unused"),
    }
}

/// Parses `5GiB` or `5%`.
fn amount(text: &str) -> Result<Amount, String> {
    if text.trim_end().ends_with('%') {
        share(text).map(Amount::Share)
    } else {
        units::bytes(text).map(Amount::Bytes)
    }
}

/// Parses a percentage. Returns a share from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.trim().strip_suffix('%').map(str::trim_end);
    percent
        .and_then(|percent| percent.parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("`{text}` is not a share of a disk: write a percentage, such as 80%"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use settings::{FaultKind, Faults, Given, Reader, SettingsFile};

    use super::*;

    fn read(keys: &str) -> Result<StoreLimits, Faults> {
        let file = SettingsFile::with("peer.toml", format!("[store]\n{keys}"));
        let reader = Reader::new(&file, Given::default())?;
        let limits = super::read(&reader.top().table("store"));
        reader.finish(Some(limits)).map(|read| read.value)
    }

    #[test]
    fn each_key_is_read() {
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
    fn by_default_a_small_part_of_the_disk_stays_free() {
        let limits = read("").expect("nothing is needed");
        assert_eq!(limits, StoreLimits::of_a_good_neighbour());
        assert_eq!(limits.quota_of(1 << 40), None);
    }

    #[test]
    fn a_bad_value_is_a_fault_of_its_key() {
        for (wrong, key, kind) in [
            ("quota = \"much\"", "store.quota", FaultKind::BadValue),
            ("quota = \"-1GiB\"", "store.quota", FaultKind::BadValue),
            ("quota = \"99999999999TiB\"", "store.quota", FaultKind::BadValue),
            ("quota_share = \"0.8\"", "store.quota_share", FaultKind::BadValue),
            ("quota_share = \"101%\"", "store.quota_share", FaultKind::BadValue),
            ("keep_free = \"5 apples\"", "store.keep_free", FaultKind::BadValue),
            ("keep_unused = \"long\"", "store.keep_unused", FaultKind::BadValue),
            ("qota = \"5GiB\"", "store.qota", FaultKind::UnknownKey),
        ] {
            let faults = read(wrong).expect_err(wrong);
            let found: Vec<_> = faults
                .iter()
                .map(|fault| (fault.key.as_str(), fault.kind))
                .collect();
            assert_eq!(found, [(key, kind)], "{wrong}");
        }
    }
}
