//! The platform of a manifest: `linux/arm64/v8`.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;
use crate::text::tame;

/// Operating system, architecture and optional variant. An index may leave one of the first two empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a platform: write os/architecture or os/architecture/variant, for example linux/arm64/v8"
)]
pub struct BadPlatform {
    given: String,
}

impl Platform {
    /// Normalizes known spellings.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, implied) = usual(architecture);
        let variant = variant.filter(|variant| !variant.is_empty()).or(implied);
        Self {
            os: os.to_ascii_lowercase(),
            variant: variant.map(|variant| with_letter(&architecture, variant)),
            architecture,
        }
    }

    /// Whether `found` satisfies this platform. Without a variant, any matches. `arm64` equals `arm64/v8`, `amd64`
    /// equals `amd64/v1`, and `arm` equals `arm/v7`.
    pub fn matches(&self, found: &Platform) -> bool {
        let same_os = found.os.is_empty() || self.os == found.os;
        if found.architecture.is_empty() {
            return same_os;
        }
        let same_machine = same_os && self.architecture == found.architecture;
        same_machine && (self.variant.is_none() || self.meant_variant() == found.meant_variant())
    }

    /// Whether both operating system and architecture are known.
    pub fn is_whole(&self) -> bool {
        !self.os.is_empty() && !self.architecture.is_empty()
    }

    fn meant_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", Some("v8")) | ("amd64", Some("v1")) => None,
            ("arm", None) => Some("v7"),
            (_, variant) => variant,
        }
    }
}

/// Returns the usual name of an architecture, and the variant that the given name implies.
fn usual(architecture: &str) -> (String, Option<&'static str>) {
    let lower = architecture.to_ascii_lowercase();
    let (name, variant) = match lower.as_str() {
        "x86_64" | "x86-64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "i386" => ("386", None),
        "armhf" => ("arm", Some("v7")),
        "armel" => ("arm", Some("v6")),
        other => (other, None),
    };
    (name.to_owned(), variant)
}

/// Some builders write `8` for `v8`.
fn with_letter(architecture: &str, variant: &str) -> String {
    let lower = variant.to_ascii_lowercase();
    match (architecture, lower.as_str()) {
        ("arm" | "arm64", "5" | "6" | "7" | "8" | "9") => format!("v{lower}"),
        _ => lower,
    }
}

impl FromStr for Platform {
    type Err = BadPlatform;

    fn from_str(text: &str) -> Result<Self, BadPlatform> {
        let bad = || BadPlatform {
            given: tame(text, 100),
        };
        let is_word = |part: &&str| {
            (1..=64).contains(&part.len())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(is_word) {
            return Err(bad());
        }
        match parts.as_slice() {
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |text: &str| {
            if text.is_empty() {
                "*".to_owned()
            } else {
                text.to_owned()
            }
        };
        write!(out, "{}/{}", known(&self.os), known(&self.architecture))?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(out, "/{variant}"))
    }
}

serde_as_text!(Platform);

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn a_platform_without_a_variant_matches_any() {
        assert!(platform("linux/arm").matches(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v6").matches(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm64").matches(&platform("linux/amd64")));
    }

    #[test]
    fn arm64_and_its_only_variant_are_one() {
        assert!(platform("linux/arm64/v8").matches(&platform("linux/arm64")));
        assert!(platform("linux/aarch64").matches(&platform("linux/arm64/v8")));
        assert_eq!(platform("linux/x86_64"), platform("linux/amd64"));
    }

    #[test]
    fn the_spellings_of_builders_and_machines_are_read() {
        for (wanted, found) in [
            ("linux/arm/v7", "linux/arm"),
            ("linux/arm", "linux/armhf"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("linux/arm64", "Linux/ARM64/8"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64", "linux/amd64/v3"),
        ] {
            assert!(platform(wanted).matches(&platform(found)), "{wanted} {found}");
        }
        for (wanted, found) in [
            ("linux/amd64/v3", "linux/amd64"),
            ("linux/arm/v6", "linux/arm"),
            ("windows/amd64", "linux/amd64"),
        ] {
            assert!(!platform(wanted).matches(&platform(found)), "{wanted} {found}");
        }
    }

    #[test]
    fn a_missing_half_of_a_listed_platform_matches_any() {
        let half = |os: &str, architecture: &str| Platform::new(os, architecture, None);
        let wanted = platform("linux/arm64");
        assert!(wanted.matches(&half("", "aarch64")) && wanted.matches(&half("linux", "")));
        assert!(!wanted.matches(&half("", "amd64")) && !wanted.matches(&half("windows", "")));
        assert!(!half("", "arm64").is_whole() && platform("linux/arm64").is_whole());
        assert_eq!(half("linux", "").to_string(), "linux/*");
    }

    #[test]
    fn text_that_is_not_a_platform_is_refused() {
        for bad in ["", "linux", "linux/", "/arm64", "linux/a/b/c", "linux/a b"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
        assert_eq!(platform("linux/arm64/v8").to_string(), "linux/arm64/v8");
    }
}
