//! What each version of Harbor supports.

use std::fmt;

/// The first two numbers of Harbor's version: `v2.12.4-ab12cd` is 2.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadVersion {
    #[error("Harbor's version {0:?} cannot be read: check that the user may sign in")]
    Unreadable(String),
    #[error("Harbor {0} has no P2P preheat: use 2.1 or newer")]
    TooOld(Version),
}

impl Version {
    pub(super) fn parse(text: &str) -> Result<Self, BadVersion> {
        let unreadable = || BadVersion::Unreadable(text.chars().take(40).collect());
        let mut numbers = text.trim_start_matches('v').split(['.', '-', '+']);
        let mut number = || numbers.next().and_then(|number| number.parse().ok());
        let version = Self {
            major: number().ok_or_else(unreadable)?,
            minor: number().ok_or_else(unreadable)?,
        };
        if version < (Self { major: 2, minor: 1 }) {
            return Err(BadVersion::TooOld(version));
        }
        Ok(version)
    }

    /// Harbor before 2.12 stores a provider's credential but never sends it.
    pub(super) fn sends_credentials(self) -> bool {
        self >= Self { major: 2, minor: 12 }
    }

    /// 2.12 has a column for the scope; 2.13 and newer have it in `extra_attrs`, beside the clusters.
    pub(super) fn scope_place(self) -> ScopePlace {
        match self.minor {
            _ if self.major > 2 => ScopePlace::ExtraAttributes,
            ..12 => ScopePlace::Nowhere,
            12 => ScopePlace::Column,
            13.. => ScopePlace::ExtraAttributes,
        }
    }
}

/// Where a policy of this version holds its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScopePlace {
    Nowhere,
    Column,
    ExtraAttributes,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn each_version_sends_and_stores_what_it_supports() {
        let old = version("v2.11.2-5a3b0c22");
        assert_eq!(
            (old.sends_credentials(), old.scope_place()),
            (false, ScopePlace::Nowhere)
        );
        let middle = version("v2.12.4");
        assert_eq!(
            (middle.sends_credentials(), middle.scope_place()),
            (true, ScopePlace::Column)
        );
        for text in ["v2.13.0-abc", "2.15.2", "v3.0.0"] {
            assert_eq!(version(text).scope_place(), ScopePlace::ExtraAttributes, "{text}");
        }
    }

    #[test]
    fn an_unreadable_or_too_old_version_is_refused() {
        assert!(matches!(Version::parse(""), Err(BadVersion::Unreadable(_))));
        assert!(matches!(Version::parse("dev"), Err(BadVersion::Unreadable(_))));
        assert!(matches!(Version::parse("v2.0.6"), Err(BadVersion::TooOld(_))));
    }
}
