//! What a token is good for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Ask for preheats, and read those that this token asked for. What Harbor needs.
    Preheat,
    /// Read all preheats, peers and clusters.
    Read,
    /// Call in as a peer: take work, read the credentials that belong to it. Only this scope allows it.
    Peer,
    /// Make tokens with scopes that one has oneself, and revoke tokens; and everything that `preheat` and `read` allow.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Preheat, Self::Read, Self::Peer, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preheat => "preheat",
            Self::Read => "read",
            Self::Peer => "peer",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no scope: choose of preheat, read, peer, admin")]
pub struct BadScope {
    given: String,
}

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| BadScope {
                given: text.chars().take(40).collect(),
            })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The scopes of one token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    pub fn all() -> Self {
        Self::new(Scope::ALL)
    }

    /// `admin` includes `preheat` and `read`, never `peer`: who administers is not thereby handed
    /// the registries' credentials.
    pub fn allow(&self, wanted: Scope) -> bool {
        let by_admin = matches!(wanted, Scope::Preheat | Scope::Read) && self.0.contains(&Scope::Admin);
        by_admin || self.0.contains(&wanted)
    }

    /// The first of `wanted` that a token with these scopes may not give to another: a token gives only what it allows
    /// itself. So the scopes of all tokens go back to the first one, which has every scope.
    pub(crate) fn may_not_give(&self, wanted: &Self) -> Option<Scope> {
        let administers = self.allow(Scope::Admin);
        wanted.iter().find(|scope| !administers || !self.allow(*scope))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_is_not_a_peer() {
        let admin = Scopes::new([Scope::Admin]);
        assert!(admin.allow(Scope::Preheat) && admin.allow(Scope::Read) && admin.allow(Scope::Admin));
        assert!(!admin.allow(Scope::Peer));
        assert!(Scopes::new([Scope::Admin, Scope::Peer]).allow(Scope::Peer));
    }

    #[test]
    fn one_scope_gives_no_other() {
        for scope in [Scope::Preheat, Scope::Read, Scope::Peer] {
            let scopes = Scopes::new([scope]);
            let allowed: Vec<Scope> = Scope::ALL
                .into_iter()
                .filter(|wanted| scopes.allow(*wanted))
                .collect();
            assert_eq!(allowed, [scope]);
        }
    }

    #[test]
    fn a_token_gives_only_what_it_allows_itself() {
        let gives = |maker: Scopes| -> Vec<Scope> {
            let one = |scope: &Scope| maker.may_not_give(&Scopes::new([*scope])).is_none();
            Scope::ALL.into_iter().filter(one).collect()
        };
        for scope in [Scope::Preheat, Scope::Read, Scope::Peer] {
            assert_eq!(gives(Scopes::new([scope])), [], "{scope}");
        }
        let admin = Scopes::new([Scope::Admin]);
        assert_eq!(gives(admin.clone()), [Scope::Preheat, Scope::Read, Scope::Admin]);
        assert_eq!(gives(Scopes::new([Scope::Admin, Scope::Peer])), Scope::ALL);
        assert_eq!(gives(Scopes::all()), Scope::ALL);
        assert_eq!(
            admin.may_not_give(&Scopes::all()),
            Some(Scope::Peer),
            "one of many"
        );
    }

    #[test]
    fn an_unknown_scope_is_told_the_known_ones() {
        let error = "root".parse::<Scope>().expect_err("no scope");
        assert!(
            error.to_string().contains("preheat, read, peer, admin"),
            "{error}"
        );
    }
}
