//! The scopes of a token request that came from our own challenge at `/v2/`. A client builds them from the path of its
//! next request, so the repository begins with the registry: `repository:127.0.0.1__5000/lib/app:pull`.
//!
//! **Invariant:** all scopes that are passed on are for one registry, and name its repositories without it.

use oci::{RegistryName, Repository};

use super::registry_prefix::registry_prefix;

/// What a token request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedScopes {
    /// None if the registry was named elsewhere.
    pub(super) registry: Option<RegistryName>,
    /// The first repository.
    pub(super) repository: Repository,
    /// As the registry's token server reads them.
    pub(super) scopes: Vec<String>,
}

/// One `type:name:actions`; a name may contain a port.
struct Scope<'text> {
    kind: &'text str,
    name: &'text str,
    actions: &'text str,
}

impl<'text> Scope<'text> {
    fn read(text: &'text str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let is_repository = kind == "repository" || kind.starts_with("repository(");
        is_repository.then_some(Self { kind, name, actions })
    }

    fn of(&self, repository: &str) -> String {
        format!("{}:{repository}:{}", self.kind, self.actions)
    }
}

impl NamedScopes {
    /// Reads scopes whose repositories begin with a registry. Returns `None` if none does.
    pub(super) fn with_registry<'text>(texts: impl Iterator<Item = &'text str> + Clone) -> Option<Self> {
        let named = |text: &'text str| {
            let (registry, rest) = registry_prefix(Scope::read(text)?.name)?;
            Some((registry, rest.parse().ok()?))
        };
        let (registry, repository): (RegistryName, Repository) = texts.clone().find_map(named)?;
        let passed = texts.filter_map(|text| {
            let scope = Scope::read(text)?;
            match registry_prefix(scope.name) {
                Some((other, rest)) => (other == registry).then(|| scope.of(rest)),
                // The registry's own challenge named it so.
                None => Some(text.to_owned()),
            }
        });
        Some(Self {
            scopes: without_duplicates(passed),
            registry: Some(registry),
            repository,
        })
    }

    /// Reads scopes of a registry that the request names elsewhere.
    pub(super) fn of_registry<'text>(texts: impl Iterator<Item = &'text str> + Clone) -> Option<Self> {
        let repository = texts
            .clone()
            .find_map(|text| Scope::read(text)?.name.parse().ok())?;
        let passed = texts.filter(|text| Scope::read(text).is_some());
        Some(Self {
            scopes: without_duplicates(passed.map(str::to_owned)),
            registry: None,
            repository,
        })
    }
}

fn without_duplicates(scopes: impl Iterator<Item = String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for scope in scopes {
        if !once.contains(&scope) {
            once.push(scope);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Option<(String, String, Vec<String>)> {
        let named = NamedScopes::with_registry(texts.iter().copied())?;
        let registry = named.registry.expect("a registry").to_string();
        Some((registry, named.repository.to_string(), named.scopes))
    }

    #[test]
    fn the_registry_is_taken_off_the_repository() {
        for (scope, registry, passed) in [
            (
                "repository:127.0.0.1__5000/lib/app:pull",
                "127.0.0.1:5000",
                "repository:lib/app:pull",
            ),
            (
                "repository:127.0.0.1:5000/lib/app:pull,push",
                "127.0.0.1:5000",
                "repository:lib/app:pull,push",
            ),
            ("repository:ghcr.io/a/b:pull", "ghcr.io", "repository:a/b:pull"),
            (
                "repository(plugin):ghcr.io/a:pull",
                "ghcr.io",
                "repository(plugin):a:pull",
            ),
        ] {
            let (found, _, scopes) = read(&[scope]).expect("scopes");
            assert_eq!((found.as_str(), scopes), (registry, vec![passed.to_owned()]));
        }
    }

    /// As crane sends them after a registry's own challenge.
    #[test]
    fn scopes_of_another_registry_are_dropped_and_those_without_one_stay() {
        let texts = [
            "repository:ghcr.io/a/b:pull",
            "repository:a/b:pull",
            "repository:c:pull",
            "repository:evil.example/a/b:pull",
            "registry:catalog:*",
        ];
        let (_, repository, scopes) = read(&texts).expect("scopes");
        assert_eq!(repository, "a/b");
        assert_eq!(scopes, ["repository:a/b:pull", "repository:c:pull"]);
    }

    #[test]
    fn what_names_no_registry_has_none() {
        for odd in [
            "",
            "repository:library/nginx:pull",
            "registry:catalog:*",
            "repository:ghcr.io/../b:pull",
            "repository::pull",
            "repository:ghcr.io",
            "x",
        ] {
            assert_eq!(read(&[odd]), None, "{odd}");
        }
        let plain = NamedScopes::of_registry(["repository:library/nginx:pull"].into_iter());
        assert_eq!(plain.expect("scopes").repository.as_str(), "library/nginx");
    }
}
