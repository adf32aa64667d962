//! Rules: which pushes lead to a preheat, and to which one. A rule is a value.

use oci::{ImageReference, Platform, RegistryName};
use preheat::{ClusterChoice, PeerChoice, PreheatRequest, Priority, Requester, Scope};

use super::Glob;

/// Rules in the order of the configuration: the first one that matches applies.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

/// Which pushes match, and what to preheat then.
#[derive(Debug, Clone)]
pub struct Rule {
    /// As the message names it, or as the configuration does.
    pub registry: Glob,
    pub repository: Glob,
    pub tag: Glob,
    pub wish: Wish,
}

/// Options of the preheat, without the image.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub scope: Scope,
    pub peers: PeerChoice,
    pub clusters: ClusterChoice,
    pub platforms: Vec<Platform>,
    pub referrers: Option<bool>,
    pub priority: Priority,
}

impl Rules {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// `configured_as`: the name that the configuration has for the image's registry.
    pub(crate) fn wish_for(&self, image: &ImageReference, configured_as: &RegistryName) -> Option<&Wish> {
        let found = self.0.iter().find(|rule| rule.matches(image, configured_as))?;
        Some(&found.wish)
    }
}

impl Rule {
    fn matches(&self, image: &ImageReference, configured_as: &RegistryName) -> bool {
        let names = [&image.registry, configured_as];
        names.iter().any(|name| self.registry.matches(name.as_str()))
            && self.repository.matches(image.repository.as_str())
            && self.matches_tag(image)
    }

    /// A push without a tag matches a rule for all tags.
    fn matches_tag(&self, image: &ImageReference) -> bool {
        match &image.tag {
            Some(tag) => self.tag.matches(tag.as_str()),
            None => self.tag.is_stars_only(),
        }
    }
}

impl Wish {
    pub(crate) fn of(
        &self,
        image: ImageReference,
        asked_by: Requester,
        delivery: Option<String>,
    ) -> PreheatRequest {
        PreheatRequest {
            scope: self.scope,
            peers: self.peers.clone(),
            clusters: self.clusters.clone(),
            platforms: self.platforms.clone(),
            referrers: self.referrers,
            priority: self.priority,
            delivery,
            ..PreheatRequest::new(image, asked_by)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(registry: &str, repository: &str, tag: &str, scope: Scope) -> Rule {
        let glob = |text: &str| text.parse().expect(text);
        Rule {
            registry: glob(registry),
            repository: glob(repository),
            tag: glob(tag),
            wish: Wish {
                scope,
                ..Wish::default()
            },
        }
    }

    fn scope_for(rules: &Rules, image: &str) -> Option<Scope> {
        let image: ImageReference = image.parse().expect(image);
        let configured_as = match image.registry.as_str() {
            "10.0.0.1:5000" => "registry.lan".parse().expect("a name"),
            _ => image.registry.clone(),
        };
        rules.wish_for(&image, &configured_as).map(|wish| wish.scope)
    }

    #[test]
    fn the_first_rule_that_matches_is_followed() {
        let rules = Rules::new(vec![
            rule("registry.lan", "team/**", "v*", Scope::AllPeers),
            rule("registry.lan", "**", "v*", Scope::AllSeedPeers),
            rule("*", "library/*", "*", Scope::SingleSeedPeer),
        ]);
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, scope) in [
            ("registry.lan/team/app:v1", Some(Scope::AllPeers)),
            ("registry.lan/other/app:v1", Some(Scope::AllSeedPeers)),
            ("registry.lan/other/app:latest", None),
            ("registry.lan/library/nginx:latest", Some(Scope::SingleSeedPeer)),
            ("other.lan/library/nginx:1", Some(Scope::SingleSeedPeer)),
            ("other.lan/team/nginx:1", None),
            // named by an alias
            ("10.0.0.1:5000/team/app:v1", Some(Scope::AllPeers)),
            // the tag counts beside a digest; a push without a tag matches a rule for all tags
            (
                &format!("registry.lan/team/app:v1@{digest}"),
                Some(Scope::AllPeers),
            ),
            (&format!("registry.lan/team/app@{digest}"), None),
            (
                &format!("other.lan/library/nginx@{digest}"),
                Some(Scope::SingleSeedPeer),
            ),
        ] {
            assert_eq!(scope_for(&rules, image), scope, "{image}");
        }
    }

    #[test]
    fn without_rules_nothing_is_preheated() {
        assert_eq!(scope_for(&Rules::default(), "registry.lan/a:1"), None);
    }
}
