//! Times as the API writes them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    pub fn from_ms(unix_ms: i64) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
        Self(moment.unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }
}

/// As the API writes it.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        Ok(Self(moment))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        let written = |ms| serde_json::to_string(&Timestamp::from_ms(ms)).expect("written");
        assert_eq!(written(0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(written(1_795_256_288_045), "\"2026-11-21T10:18:08.045Z\"");
    }

    #[test]
    fn a_moment_is_read_as_it_was_written() {
        let text = "\"2026-11-21T10:18:08.045Z\"";
        let read: Timestamp = serde_json::from_str(text).expect("read");
        assert_eq!(read, Timestamp::from_ms(1_795_256_288_045));
        assert_eq!(format!("\"{read}\""), text);
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn a_moment_beyond_all_calendars_is_no_panic() {
        for ms in [i64::MAX, i64::MIN] {
            assert!(serde_json::to_string(&Timestamp::from_ms(ms)).is_ok());
        }
    }
}
