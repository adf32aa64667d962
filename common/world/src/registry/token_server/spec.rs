//! Users and the repositories that their tokens open.

use std::time::Duration;

use super::super::accounts::{PASSWORD, USER};

/// Users, their repositories, public repositories, and the lifetime of tokens.
#[derive(Debug, Clone)]
pub struct BearerSpec {
    users: Vec<User>,
    public: Vec<String>,
    lifetime: Duration,
}

#[derive(Debug, Clone)]
struct User {
    name: String,
    password: String,
    may_read: Reach,
}

#[derive(Debug, Clone)]
enum Reach {
    /// Whether the user may push too.
    Everything,
    Repositories(Vec<String>),
}

/// Only [`USER`] with [`PASSWORD`] may pull and push; tokens are valid for five minutes.
impl Default for BearerSpec {
    fn default() -> Self {
        let alice = User {
            name: USER.to_owned(),
            password: PASSWORD.to_owned(),
            may_read: Reach::Everything,
        };
        Self {
            users: vec![alice],
            public: Vec::new(),
            lifetime: Duration::from_secs(300),
        }
    }
}

impl BearerSpec {
    /// Adds a user who may pull these repositories.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, may_pull: &[&str]) -> Self {
        self.users.push(User {
            name: name.to_owned(),
            password: password.to_owned(),
            may_read: Reach::Repositories(may_pull.iter().map(|&name| name.to_owned()).collect()),
        });
        self
    }

    /// Makes a repository public: everyone may pull it with an anonymous token.
    #[must_use]
    pub fn public(mut self, repository: &str) -> Self {
        self.public.push(repository.to_owned());
        self
    }

    /// Sets the lifetime of tokens; the registry's leeway of a minute is taken into account.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    pub(super) fn make_private(&mut self, repository: &str) {
        self.public.retain(|name| name != repository);
    }

    pub(super) fn tokens_last(&self) -> Duration {
        self.lifetime
    }

    pub(super) fn knows(&self, name: &str, password: &str) -> bool {
        self.users
            .iter()
            .any(|user| user.name == name && user.password == password)
    }

    /// Returns the requested actions that are granted.
    pub(super) fn granted(&self, user: Option<&str>, repository: &str, asked: &[&str]) -> Vec<String> {
        let user = user.and_then(|name| self.users.iter().find(|user| user.name == name));
        let (pull, rest) = match user.map(|user| &user.may_read) {
            Some(Reach::Everything) => (true, true),
            Some(Reach::Repositories(names)) => (names.iter().any(|name| name == repository), false),
            None => (false, false),
        };
        let pull = pull || self.public.iter().any(|name| name == repository);
        let granted = asked
            .iter()
            .filter(|&&action| if action == "pull" { pull } else { rest });
        granted.map(|&action| action.to_owned()).collect()
    }
}
