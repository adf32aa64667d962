//! Scopes of tokens: what each allows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Create preheats, and read those that this token created. Harbor needs it.
    Preheat,
    /// Read all preheats, peers and clusters.
    Read,
    /// Create tokens with scopes that the token has itself, revoke tokens, and all that `preheat` and `read` allow.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Preheat, Self::Read, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preheat => "preheat",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScope {
    #[error("{given:?} is no scope: choose of preheat, read, admin")]
    Unknown { given: String },
    #[error(
        "{given:?} is no scope of a caller: peers join with a token of their own, `stoker token create --scope node` or \
         `--scope seed`"
    )]
    OfPeers { given: String },
}

/// Was a scope once; old tokens still name it, and it opens nothing.
const FORMER: &str = "peer";

impl FromStr for Scope {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| {
                let given = text.chars().take(40).collect();
                if [FORMER, "seed", "node"].contains(&text) {
                    BadScope::OfPeers { given }
                } else {
                    BadScope::Unknown { given }
                }
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
#[serde(try_from = "Vec<String>")]
pub struct Scopes(Vec<Scope>);

impl TryFrom<Vec<String>> for Scopes {
    type Error = BadScope;

    /// Old tokens may name a scope for peers, which is gone: it is left out, and the token's other scopes hold.
    fn try_from(words: Vec<String>) -> Result<Self, BadScope> {
        let known = words.iter().filter(|word| *word != FORMER);
        Ok(Self::new(
            known.map(|word| word.parse()).collect::<Result<Vec<_>, _>>()?,
        ))
    }
}

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

    /// `admin` includes `preheat` and `read`.
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
    fn admin_is_all() {
        let admin = Scopes::new([Scope::Admin]);
        assert!(Scope::ALL.into_iter().all(|scope| admin.allow(scope)));
    }

    #[test]
    fn one_scope_gives_no_other() {
        for scope in [Scope::Preheat, Scope::Read] {
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
        for scope in [Scope::Preheat, Scope::Read] {
            assert_eq!(gives(Scopes::new([scope])), [], "{scope}");
        }
        assert_eq!(gives(Scopes::new([Scope::Admin])), Scope::ALL);
        let reads = Scopes::new([Scope::Read]);
        assert_eq!(
            reads.may_not_give(&Scopes::all()),
            Some(Scope::Preheat),
            "one of many"
        );
    }

    #[test]
    fn a_token_that_was_also_a_peers_keeps_its_other_scopes() {
        let old: Scopes = serde_json::from_str(r#"["preheat","read","peer","admin"]"#).expect("read");
        assert_eq!(old, Scopes::all());
        let of_peers: Scopes = serde_json::from_str(r#"["peer"]"#).expect("read");
        assert!(of_peers.is_empty());
        assert_eq!(
            serde_json::to_string(&Scopes::all()).expect("text"),
            r#"["preheat","read","admin"]"#
        );
    }

    #[test]
    fn an_unknown_scope_is_refused_with_the_known_ones() {
        let error = "root".parse::<Scope>().expect_err("no scope").to_string();
        for known in ["preheat", "read", "admin"] {
            assert!(error.contains(known), "{error}");
        }
        for of_peers in ["peer", "node", "seed"] {
            let error = of_peers.parse::<Scope>().expect_err("no scope").to_string();
            assert!(error.contains("--scope"), "{error}");
        }
    }
}
