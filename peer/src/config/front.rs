//! What the front may do on a client's word.

use std::str::FromStr;
use std::time::Duration;

use settings::Section;

/// What the front may do on a client's word.
#[derive(Debug, Clone)]
pub struct FrontLimits {
    /// A registry's yes is taken for as long as this without asking again.
    pub yes_kept: Duration,
    /// … for as long as this when this one question fails, such as by a 429, 5xx or a storage's refusal …
    pub yes_kept_on_error: Duration,
    /// … and for as long as this while the registry's host is unreachable.
    pub yes_kept_offline: Duration,
    /// How long a record that anybody may read an object is taken without asking again.
    pub public_kept: Duration,
    /// Registries that may be dialled beside those that the manager names: `registry.lan:5000`, `*.example.com`.
    pub allow: Vec<String>,
    /// Of an object that somebody reads a range of, the rest is fetched too.
    pub prefetch: bool,
    pub unproven_ranges: UnprovenRanges,
}

/// What readers get of a range while the whole object is not proven here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnprovenRanges {
    /// Its chunks, each checked against the hashes of one seed. Fast; a seed that lies gives wrong bytes.
    #[default]
    VerifiedBySeed,
    /// Nothing before the sha256 of the whole object is proven.
    HeldBack,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no rule for ranges: write \"verified-by-seed\" or \"held-back\"")]
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
