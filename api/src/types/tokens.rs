//! Tokens of callers, and tokens that peers join with.

use preheat::JoinTokenView;
use preheat::tokens::TokenView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use wire::{ClusterName, Role, SecretText};

use super::scope::{Scope, Scopes};
use super::timestamp::Timestamp;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// `caller` (the default): sent in the `Authorization` header. `endpoint`: part of a URL's path, for clients
    /// that cannot send a credential (Harbor up to 2.11, some registries). It may create preheats and poll its own.
    pub kind: Option<String>,
    /// Name of the token, for people.
    #[schema(example = "harbor")]
    pub name: String,
    /// Required for kind `caller`.
    #[schema(value_type = Vec<Scope>)]
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Lifetime: a number and `w`, `d`, `h` or `m`. Default: `365d`.
    #[schema(example = "365d")]
    pub expires: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    pub id: String,
    pub name: String,
    #[schema(value_type = Vec<Scope>)]
    pub scopes: Scopes,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The token itself. The manager does not store it.
    #[schema(value_type = String)]
    pub token: SecretText,
    /// For kind `endpoint`: the URL to enter in Harbor or the registry. It is only a path if `public_url` is not
    /// configured; prefix it with the manager's URL.
    #[schema(value_type = Option<String>, example = "http://stoker.example.com:8080/t/dXNlIHlvdXIgb3duLCB0aGlzIG9uZSBpcyBwdWJsaWM")]
    pub endpoint: Option<SecretText>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    pub tokens: Vec<TokenBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenBody {
    pub id: String,
    pub name: String,
    /// `caller` or `endpoint`.
    pub kind: String,
    #[schema(example = json!(["preheat"]))]
    pub scopes: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJoinToken {
    /// Role of the peers that join with it: `seed` or `node`.
    #[schema(example = "node")]
    pub scope: String,
    /// Cluster of the peers that join with it. Default: `default`.
    #[schema(example = "edge-7")]
    pub cluster: Option<String>,
    /// How many peers may join with it; 0 means no limit. Default: 1 for seeds, no limit for nodes.
    pub joins: Option<u32>,
    /// How many peers may join in a minute. Default: 600.
    pub per_minute: Option<u32>,
    /// Lifetime: a number and `w`, `d`, `h` or `m`. Default: `7d`.
    #[schema(example = "7d")]
    pub expires: Option<String>,
    /// UUID of a peer that lost its data folder and keeps its id. `joins` is then 1.
    pub peer: Option<Uuid>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewJoinToken {
    pub id: String,
    #[schema(value_type = String, example = "node")]
    pub scope: Role,
    #[schema(value_type = String)]
    pub cluster: ClusterName,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// The token itself. The manager does not store it.
    #[schema(value_type = String)]
    pub token: SecretText,
    /// Port that peers connect to.
    pub peer_port: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JoinTokens {
    pub join_tokens: Vec<JoinTokenBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JoinTokenBody {
    pub id: String,
    /// `seed` or `node`.
    #[schema(value_type = String, example = "node")]
    pub scope: Role,
    pub cluster: String,
    /// Number of peers that have joined with it.
    pub joined: u64,
    /// Number of peers that may still join with it; `null` means no limit.
    pub joins_left: Option<u64>,
    /// Number of peers that may join in a minute.
    pub per_minute: u64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

impl From<TokenView> for TokenBody {
    fn from(view: TokenView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            kind: if view.is_endpoint { "endpoint" } else { "caller" }.to_owned(),
            scopes: view.scopes,
            created_at: Timestamp::from_ms(view.created_ms),
            expires_at: view.expires_ms.map(Timestamp::from_ms),
            revoked_at: view.revoked_ms.map(Timestamp::from_ms),
        }
    }
}

impl From<JoinTokenView> for JoinTokenBody {
    fn from(view: JoinTokenView) -> Self {
        Self {
            joins_left: view.joins.map(|joins| joins.saturating_sub(view.joined)),
            id: view.id,
            scope: view.role,
            cluster: view.cluster,
            joined: view.joined,
            per_minute: view.per_minute,
            created_at: Timestamp::from_ms(view.created_ms),
            expires_at: Timestamp::from_ms(view.expires_ms),
            revoked_at: view.revoked_ms.map(Timestamp::from_ms),
        }
    }
}
