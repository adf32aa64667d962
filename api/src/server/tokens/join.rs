//! Tokens that peers join with: `stoker-join.<id>.<secret>.<fingerprint of the authority>`.
//!
//! **Invariant:** only the sha256 of the secret is kept.

use aws_lc_rs::rand::fill;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use preheat::{JoinError, NewJoinToken, NotJoined, Preheater, StorageError};
use uuid::Uuid;
use wire::{CaFingerprint, ClusterName, JoinToken, Role, SecretText};

use super::lifetime::Lifetime;

const BYTES: usize = 32;

/// The request for a join token.
#[derive(Debug, Clone)]
pub struct JoinWish {
    pub role: Role,
    pub cluster: ClusterName,
    /// None: as many peers as like.
    pub joins: Option<u32>,
    pub per_minute: u32,
    pub lifetime: Lifetime,
    /// The one peer that comes back under its old uuid.
    pub peer: Option<Uuid>,
}

#[derive(Debug, thiserror::Error)]
pub enum NoJoinToken {
    #[error(transparent)]
    Refused(NotJoined),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the operating system gave no randomness")]
    NoRandomness,
}

/// Makes a join token and stores its hash; returns it, and when it ends.
pub async fn create_join_token(
    preheater: &Preheater,
    ca: CaFingerprint,
    wish: JoinWish,
    now_ms: i64,
) -> Result<(JoinToken, i64), NoJoinToken> {
    let token = JoinToken {
        id: Uuid::new_v4().simple().to_string().chars().take(16).collect(),
        secret: secret()?,
        ca,
    };
    let lifetime_ms = i64::try_from(wish.lifetime.duration().as_millis()).unwrap_or(i64::MAX);
    let expires_ms = now_ms.saturating_add(lifetime_ms);
    let record = NewJoinToken {
        id: token.id.clone(),
        secret_hash: token.secret_hash(),
        role: wish.role,
        cluster: wish.cluster,
        joins: wish.joins,
        per_minute: wish.per_minute,
        peer: wish.peer,
        expires_ms,
    };
    match preheat::create_join_token(preheater, record).await {
        Ok(()) => Ok((token, expires_ms)),
        Err(JoinError::Refused(refusal)) => Err(NoJoinToken::Refused(refusal)),
        Err(JoinError::Storage(cause)) => Err(cause.into()),
    }
}

fn secret() -> Result<SecretText, NoJoinToken> {
    let mut bytes = [0; BYTES];
    fill(&mut bytes).map_err(|_| NoJoinToken::NoRandomness)?;
    Ok(SecretText::new(URL_SAFE_NO_PAD.encode(bytes)))
}
