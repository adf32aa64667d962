//! The `[dial]` section in the configuration of manager and peer.

use super::AddressRange;
use crate::RegistryName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialRules {
    /// Special addresses that may be dialled.
    pub addresses: Vec<AddressRange>,
    /// Whether a preheat may use, and thereby open, a registry that is not configured.
    pub open_by_preheat: bool,
    /// Registries that may be dialled without being configured: `registry.lan:5000`, `*.example.com`.
    pub allow: Vec<String>,
}

impl Default for DialRules {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            open_by_preheat: true,
            allow: Vec::new(),
        }
    }
}

impl DialRules {
    /// Whether a pattern matches this registry.
    pub fn allow(&self, registry: &RegistryName) -> bool {
        self.allow.iter().any(|pattern| is_named_by(registry, pattern))
    }
}

/// Whether a pattern matches this registry: exactly, or as `*.domain` any host below it.
pub fn is_named_by(registry: &RegistryName, pattern: &str) -> bool {
    let pattern = pattern.trim().to_ascii_lowercase();
    if let Some(domain) = pattern.strip_prefix("*.") {
        return registry
            .as_str()
            .strip_suffix(domain)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty());
    }
    pattern
        .parse::<RegistryName>()
        .is_ok_and(|name| name == *registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RegistryName {
        text.parse().expect("a registry")
    }

    fn matches(pattern: &str, registry: &RegistryName) -> bool {
        is_named_by(registry, pattern)
    }

    #[test]
    fn a_pattern_matches_whole_labels_only() {
        assert!(matches("*.example.com", &name("a.example.com")));
        assert!(matches("*.Example.com:5000", &name("a.b.example.com:5000")));
        assert!(!matches("*.example.com", &name("example.com")));
        assert!(!matches("*.example.com", &name("evilexample.com")));
        assert!(!matches("*.example.com", &name("a.example.com:5000")));
        assert!(matches("index.docker.io", &name("docker.io")));
        assert!(!matches("", &name("docker.io")));
        assert!(!matches("*", &name("docker.io")));
    }
}
