//! Settings of the front: how long grants are kept, which registries callers may name, and when ranges are sent.

use std::str::FromStr;
use std::time::Duration;

use settings::Section;

/// How long grants are kept, which registries callers may name, and when ranges are sent.
#[derive(Debug, Clone)]
pub struct FrontLimits {
    /// How long a grant counts without a question to the registry.
    pub yes_kept: Duration,
    /// How long a grant counts after a failed question: a 429, a 5xx, or a refusal by the storage behind the registry.
    pub yes_kept_on_error: Duration,
    /// How long a grant counts while the registry's host is unreachable.
    pub yes_kept_offline: Duration,
    /// How long the manager's record that an object is public counts without a question.
    pub public_kept: Duration,
    /// Registries that callers may name, besides those that the manager allows: `registry.lan:5000`, `*.example.com`.
    pub allow: Vec<String>,
    /// After a read of a range, the rest of the object is fetched too.
    pub prefetch: bool,
    pub unproven_ranges: UnprovenRanges,
}

/// Whether a range is sent before the whole object is proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnprovenRanges {
    /// Sends each chunk after a check against the hashes of one seed. Fast, but trusts that seed.
    #[default]
    VerifiedBySeed,
    /// Sends bytes only after the digest of the whole object is proven.
    HeldBack,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a rule for ranges: write \"verified-by-seed\" or \"held-back\"")]
pub struct BadRangeRule(String);

impl FromStr for UnprovenRanges {
    type Err = BadRangeRule;

    fn from_str(text: &str) -> Result<Self, BadRangeRule> {
        match text {
            "verified-by-seed" => Ok(Self::VerifiedBySeed),
            "held-back" => Ok(Self::HeldBack),
            other => Err(BadRangeRule(other.chars().take(40).collect())),
        }
    }
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            yes_kept: Duration::from_secs(600),
            yes_kept_on_error: Duration::from_secs(3_600),
            yes_kept_offline: Duration::from_secs(7 * 86_400),
            public_kept: Duration::from_secs(6 * 3_600),
            allow: Vec::new(),
            prefetch: false,
            unproven_ranges: UnprovenRanges::default(),
        }
    }
}

impl FrontLimits {
    /// Reads the front's keys at the top of the file.
    pub(super) fn read(top: &Section<'_>) -> Self {
        let default = Self::default();
        top.default("unproven_ranges", "verified-by-seed");
        Self {
            yes_kept: top.duration_or("yes_kept", default.yes_kept),
            yes_kept_on_error: top.duration_or("yes_kept_on_error", default.yes_kept_on_error),
            yes_kept_offline: top.duration_or("yes_kept_offline", default.yes_kept_offline),
            public_kept: top.duration_or("public_kept", default.public_kept),
            allow: top.list("allow"),
            prefetch: top.switch_or("prefetch", default.prefetch),
            unproven_ranges: top.parsed("unproven_ranges").unwrap_or_default(),
        }
    }
}
