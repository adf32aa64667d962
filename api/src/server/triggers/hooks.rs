//! Kinds of webhooks, and the settings of each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use oci::RegistryName;
use wire::SecretText;

/// A product whose webhooks are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    Artifactory,
    Azure,
    DockerHub,
    Ecr,
    Forgejo,
    GitHub,
    GitLab,
    Gitea,
    Harbor,
    Nexus,
    Quay,
    Zot,
}

/// How a product proves that it sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookProof {
    /// An HMAC of the body in lower-case hexadecimal digits, behind a prefix, in any of these headers.
    Hmac {
        headers: &'static [&'static str],
        prefix: &'static str,
        hash: HookHash,
    },
    /// The secret itself, in a header.
    Token { header: &'static str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookHash {
    Sha1,
    Sha256,
}

/// Settings of one kind.
#[derive(Debug, Clone, Default)]
pub struct HookSettings {
    /// Replaces the host that a message names; needed for products that name none.
    pub registry: Option<RegistryName>,
    /// The part of the repository's path that a message does not name. `{repository}` is the product's own repository.
    pub path: Option<String>,
    /// If set, each message must carry the product's signature or token.
    pub secret: Option<SecretText>,
}

/// Settings by kind. A kind that is not listed has the defaults.
pub type Hooks = BTreeMap<HookKind, HookSettings>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a kind of webhook; kinds are {}", HookKind::names())]
pub struct UnknownHook;

impl HookKind {
    pub const ALL: [Self; 12] = [
        Self::Artifactory,
        Self::Azure,
        Self::DockerHub,
        Self::Ecr,
        Self::Forgejo,
        Self::GitHub,
        Self::GitLab,
        Self::Gitea,
        Self::Harbor,
        Self::Nexus,
        Self::Quay,
        Self::Zot,
    ];

    /// The name in paths and in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Artifactory => "artifactory",
            Self::Azure => "azure",
            Self::DockerHub => "docker-hub",
            Self::Ecr => "ecr",
            Self::Forgejo => "forgejo",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Harbor => "harbor",
            Self::Nexus => "nexus",
            Self::Quay => "quay",
            Self::Zot => "zot",
        }
    }

    /// The names of all kinds, for an error.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::word).join(", ")
    }

    /// Returns `None` for a product that has no secret of its own.
    pub(crate) fn proof(self) -> Option<HookProof> {
        match self {
            Self::GitHub => Some(HookProof::Hmac {
                headers: &["x-hub-signature-256"],
                prefix: "sha256=",
                hash: HookHash::Sha256,
            }),
            Self::Gitea | Self::Forgejo => Some(HookProof::Hmac {
                headers: &["x-forgejo-signature", "x-gitea-signature"],
                prefix: "",
                hash: HookHash::Sha256,
            }),
            Self::Nexus => Some(HookProof::Hmac {
                headers: &["x-nexus-webhook-signature"],
                prefix: "",
                hash: HookHash::Sha1,
            }),
            Self::GitLab => Some(HookProof::Token {
                header: "x-gitlab-token",
            }),
            Self::Artifactory => Some(HookProof::Token {
                header: "x-jfrog-event-auth",
            }),
            Self::Azure | Self::DockerHub | Self::Ecr | Self::Harbor | Self::Quay | Self::Zot => None,
        }
    }

    /// Whether the product's messages name the registry's host.
    pub fn names_host(self) -> bool {
        !matches!(self, Self::Artifactory | Self::Nexus | Self::Zot)
    }

    /// Whether a repository may have a path in front that the product's messages do not name.
    pub fn has_path(self) -> bool {
        matches!(self, Self::Artifactory | Self::Nexus)
    }

    /// Whether the product can prove that it sent a message.
    pub fn has_secret(self) -> bool {
        self.proof().is_some()
    }
}

impl FromStr for HookKind {
    type Err = UnknownHook;

    fn from_str(text: &str) -> Result<Self, UnknownHook> {
        let found = Self::ALL.into_iter().find(|kind| kind.word() == text);
        found.ok_or(UnknownHook)
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}
