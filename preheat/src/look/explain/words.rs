//! Parts of sentences: moments, amounts, advice.

use time::OffsetDateTime;
use time::macros::format_description;
use wire::Side;

/// `2026-11-21 15:40:02 UTC (3 min ago)`
pub(super) fn when(at_ms: i64, now_ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let text = moment.ok().and_then(|moment| moment.format(format).ok());
    format!(
        "{} ({} ago)",
        text.unwrap_or_default(),
        ago(now_ms.saturating_sub(at_ms))
    )
}

fn ago(elapsed_ms: i64) -> String {
    let seconds = elapsed_ms.max(0) / 1_000;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `11.77 MiB`, as the command line writes it.
pub(super) fn amount(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match UNITS.into_iter().find(|(_, bits)| bytes >> bits > 0) {
        Some((unit, bits)) => {
            let half = 1_u128 << (bits - 1);
            let hundredths = (u128::from(bytes) * 100 + half) >> bits;
            format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100)
        }
        None => format!("{bytes} B"),
    }
}

/// `1 object`, `5 objects`
pub(super) fn counted(count: u64, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// `is` or `are`, after a number.
pub(super) fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// `was` or `were`, after a number.
pub(super) fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// Why a store removed an object.
pub(super) fn removal(why: Option<&str>) -> String {
    match why {
        Some("asked") => "somebody removed it from the store".to_owned(),
        Some("evicted") => "the store needed room".to_owned(),
        Some("damaged") => "its bytes on disk were damaged".to_owned(),
        Some("unused") => "it was unused for longer than the store keeps unused objects".to_owned(),
        Some("recalled") => "its image was removed from every peer (`stoker image remove`)".to_owned(),
        Some(other) => other.to_owned(),
        None => "the peer has no record of it; its data folder may have been emptied".to_owned(),
    }
}

/// What to do about a failure of this side.
pub(super) fn advice(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Caller) => {
            "Check that the credential of the request may read the whole repository. If the registry has lost part of the \
             image, push it again. Then preheat it again."
        }
        Some(Side::Registry) => {
            "Check the registry: it does not serve what its manifest lists. Push the image again, then preheat it again."
        }
        Some(Side::Network) => {
            "Check the network between that peer and the registry, then preheat the image again."
        }
        Some(Side::Peer) => "Check the disk and the log of that peer, then preheat the image again.",
        Some(Side::Manager) | None => "Check the manager's log, then preheat the image again.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_with_its_age() {
        let at = 1_795_256_288_000;
        assert_eq!(when(at, at + 3_000), "2026-11-21 10:18:08 UTC (3 s ago)");
        assert_eq!(when(at, at + 180_000), "2026-11-21 10:18:08 UTC (3 min ago)");
        assert_eq!(when(at, at + 7_200_000), "2026-11-21 10:18:08 UTC (2 h ago)");
        assert_eq!(
            when(at, at + 864_000_000),
            "2026-11-21 10:18:08 UTC (10 days ago)"
        );
        assert_eq!(when(at, at - 5), "2026-11-21 10:18:08 UTC (0 s ago)");
        assert!(when(i64::MAX, 0).ends_with("ago)"));
    }

    #[test]
    fn amounts_are_written_as_the_command_line_writes_them() {
        assert_eq!(amount(999), "999 B");
        assert_eq!(amount(12_345_678), "11.77 MiB");
        assert_eq!(amount(48_244_756), "46.01 MiB");
        assert_eq!(amount(1 << 30), "1.00 GiB");
        assert_eq!(amount(u64::MAX), "16777216.00 TiB");
    }
}
