//! Peers join: a join token is checked and counted, and the peer gets a uuid. The caller of this crate signs the
//! certificate.
//!
//! **Invariants:** a join token admits at most its number of peers, in its role and its cluster, whatever the peer
//! requests. Only the hash of its secret is stored. The same key with the same token is the same peer, so a lost
//! response costs nothing.

use queue::Urgency;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder,
};
use uuid::Uuid;
use wire::{ClusterName, PeerIdentity, Role};

use super::clusters;
use super::removals::{dead_before, was_removed};
use crate::engine::preheater::Preheater;
use crate::model::errors::StorageError;
use crate::model::limits::Limits;
use crate::rows::{join_tokens, members};

/// How far a peer's clock may differ from ours: its certificate holds from an hour before it was issued.
const CLOCK_OFF_MS: i64 = 50 * 60 * 1_000;
const MINUTE_MS: i64 = 60_000;

/// A join token that is to be made.
#[derive(Debug, Clone)]
pub struct NewJoinToken {
    pub id: String,
    /// SHA-256 in hex.
    pub secret_hash: String,
    pub role: Role,
    pub cluster: ClusterName,
    /// None: as many peers as like.
    pub joins: Option<u32>,
    pub per_minute: u32,
    /// The one peer that is to join with it, under its old uuid.
    pub peer: Option<Uuid>,
    pub expires_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenView {
    pub id: String,
    pub role: Role,
    pub cluster: String,
    pub joins: Option<u64>,
    pub joined: u64,
    pub per_minute: u64,
    pub created_ms: i64,
    pub expires_ms: i64,
    pub revoked_ms: Option<i64>,
}

/// A peer that wants to join.
#[derive(Debug, Clone)]
pub struct Applicant {
    pub token_id: String,
    /// SHA-256 in hex of the secret that the peer sent.
    pub secret_hash: String,
    /// SHA-256 in hex.
    pub key_hash: String,
    pub clock_unix_ms: i64,
    pub wire_version: u32,
}

/// Why a peer may not join, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJoined {
    #[error("this manager knows no such join token; make one with `stoker token create --scope node`")]
    UnknownToken,
    #[error("the join token was revoked; make another one with `stoker token create --scope {0}`")]
    Revoked(&'static str),
    #[error("the join token has expired; make another one with `stoker token create --scope {0}`")]
    Expired(&'static str),
    #[error(
        "the join token is used up: all of its {joins} joins are done; make another one with \
         `stoker token create --scope {role}`"
    )]
    UsedUp { joins: i64, role: &'static str },
    #[error(
        "{0} peers have joined with this token in the last minute, and it allows no more: try again in a minute"
    )]
    TooFast(u64),
    #[error(
        "{0} peers have joined in the last minute, and this manager takes no more: try again in a minute"
    )]
    Crowd(u64),
    #[error("this manager has {0} peers and takes no more: remove some with `stoker peers remove`")]
    Full(u64),
    #[error("this manager has {0} clusters and takes no more: join one of them (see `stoker clusters`)")]
    TooManyClusters(u64),
    #[error(
        "the peer was removed and cannot come back under its key or its id: empty its data folder and join anew with a \
         join token that names no id"
    )]
    Removed,
    #[error(
        "the peer's clock and the manager's differ by {} minutes: set both (the manager's says {manager_ms} ms since \
         1970)", off_ms / MINUTE_MS
    )]
    Clock { off_ms: i64, manager_ms: i64 },
    #[error("the peer speaks version {peer} of the protocol, this manager {manager}; update the older one")]
    Version { peer: u32, manager: u32 },
}

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Refused(#[from] NotJoined),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Stores a new join token.
pub async fn create_join_token(preheater: &Preheater, token: NewJoinToken) -> Result<(), JoinError> {
    let inner = &preheater.inner;
    let at_most = inner.limits.clusters;
    let cluster = token.cluster.clone();
    let row = row_of(token, inner.now_ms());
    let stored = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                // The cluster exists from now on: preheats can name it before its first peer has come.
                if clusters::ensure(txn, &cluster, at_most).await?.is_none() {
                    return Ok(Err(NotJoined::TooManyClusters(at_most)));
                }
                join_tokens::Entity::insert(row)
                    .exec_without_returning(txn)
                    .await?;
                Ok(Ok(()))
            })
        })
        .await?;
    Ok(stored?)
}

fn row_of(token: NewJoinToken, now: i64) -> join_tokens::ActiveModel {
    join_tokens::ActiveModel {
        id: Set(token.id),
        secret_hash: Set(token.secret_hash),
        seed: Set(token.role == Role::Seed),
        cluster: Set(token.cluster.to_string()),
        joins: Set(token.joins.map(i64::from)),
        joined: Set(0),
        per_minute: Set(i64::from(token.per_minute)),
        peer_id: Set(token.peer.map(|peer| peer.to_string())),
        created_ms: Set(now),
        expires_ms: Set(token.expires_ms),
        revoked_ms: Set(None),
    }
}

/// Newest first.
pub async fn join_tokens(preheater: &Preheater) -> Result<Vec<JoinTokenView>, StorageError> {
    let rows = join_tokens::Entity::find()
        .order_by_desc(join_tokens::Column::CreatedMs)
        .order_by_asc(join_tokens::Column::Id)
        .all(preheater.inner.reads())
        .await?;
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    let view = |row: join_tokens::Model| JoinTokenView {
        role: role_of(row.seed),
        joins: row.joins.map(number),
        joined: number(row.joined),
        per_minute: number(row.per_minute),
        id: row.id,
        cluster: row.cluster,
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        revoked_ms: row.revoked_ms,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// `false`: there is no such token.
pub async fn revoke_join_token(preheater: &Preheater, id: &str) -> Result<bool, StorageError> {
    let inner = &preheater.inner;
    let (id, now) = (id.to_owned(), inner.now_ms());
    inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                let known = join_tokens::Entity::find_by_id(&id).one(txn).await?.is_some();
                join_tokens::Entity::update_many()
                    .col_expr(join_tokens::Column::RevokedMs, Expr::value(now))
                    .filter(join_tokens::Column::Id.eq(&id))
                    .filter(join_tokens::Column::RevokedMs.is_null())
                    .exec(txn)
                    .await?;
                Ok(known)
            })
        })
        .await
}

/// A peer joins with a token.
pub async fn join(preheater: &Preheater, applicant: Applicant) -> Result<PeerIdentity, JoinError> {
    let inner = &preheater.inner;
    let now = inner.now_ms();
    check_protocol(&applicant, now)?;
    let limits = inner.limits.clone();
    let joined = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(admit_with_token(txn, applicant, limits, now))
        })
        .await?;
    Ok(joined?)
}

/// The peer of the manager's own process joins, without a token.
pub async fn join_directly(
    preheater: &Preheater,
    role: Role,
    cluster: ClusterName,
    key_hash: String,
) -> Result<PeerIdentity, StorageError> {
    let inner = &preheater.inner;
    let now = inner.now_ms();
    let identity = PeerIdentity {
        peer: Uuid::new_v4(),
        cluster,
        role,
    };
    let row = member_of(&identity, None, key_hash, now);
    inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                members::Entity::insert(row)
                    .exec_without_returning(txn)
                    .await
                    .map(drop)
            })
        })
        .await?;
    Ok(identity)
}

/// Notes that a peer has got a new certificate.
pub async fn renewed(preheater: &Preheater, peer: Uuid) -> Result<(), StorageError> {
    let inner = &preheater.inner;
    let update = members::Entity::update_many()
        .col_expr(members::Column::RenewedMs, Expr::value(inner.now_ms()))
        .filter(members::Column::PeerId.eq(peer.to_string()));
    inner
        .write(Urgency::Background, move |txn| {
            Box::pin(async move { update.exec(txn).await.map(drop) })
        })
        .await
}

fn check_protocol(applicant: &Applicant, now: i64) -> Result<(), NotJoined> {
    let manager = wire::VERSION;
    if applicant.wire_version.abs_diff(manager) > 1 {
        return Err(NotJoined::Version {
            peer: applicant.wire_version,
            manager,
        });
    }
    let off_ms = applicant.clock_unix_ms.saturating_sub(now).saturating_abs();
    if off_ms > CLOCK_OFF_MS {
        return Err(NotJoined::Clock {
            off_ms,
            manager_ms: now,
        });
    }
    Ok(())
}

async fn admit_with_token(
    txn: &DatabaseTransaction,
    applicant: Applicant,
    limits: Limits,
    now: i64,
) -> Result<Result<PeerIdentity, NotJoined>, DbErr> {
    let token = join_tokens::Entity::find_by_id(&applicant.token_id)
        .one(txn)
        .await?;
    // Hashes of 32 random bytes: how long the comparison takes tells nothing.
    let Some(token) = token.filter(|token| token.secret_hash == applicant.secret_hash) else {
        return Ok(Err(NotJoined::UnknownToken));
    };
    if let Some(before) = joined_before(txn, &token, &applicant.key_hash).await? {
        let removed = was_removed(txn, before.peer).await?;
        return Ok(if removed {
            Err(NotJoined::Removed)
        } else {
            Ok(before)
        });
    }
    let counts = count(txn, &token.id, now).await?;
    if let Err(refusal) = decide(&token, &counts, &limits, now) {
        return Ok(Err(refusal));
    }
    if !count_join(txn, &token).await? {
        let joins = token.joins.unwrap_or_default();
        let role = role_of(token.seed).word();
        return Ok(Err(NotJoined::UsedUp { joins, role }));
    }
    admit(txn, token, applicant.key_hash, &limits, now).await
}

/// The same key has come with the same token: its answer was lost.
async fn joined_before(
    txn: &DatabaseTransaction,
    token: &join_tokens::Model,
    key_hash: &str,
) -> Result<Option<PeerIdentity>, DbErr> {
    let member = members::Entity::find()
        .filter(members::Column::KeyHash.eq(key_hash))
        .filter(members::Column::TokenId.eq(&token.id))
        .one(txn)
        .await?;
    let Some(member) = member.filter(|_| token.revoked_ms.is_none()) else {
        return Ok(None);
    };
    Ok(Some(PeerIdentity {
        peer: member.peer()?,
        cluster: member.cluster()?,
        role: role_of(member.seed),
    }))
}

/// Counts that the bounds of joining apply to.
struct JoinCounts {
    /// Peers that joined in the last minute with this token, and with any.
    lately: (u64, u64),
    members: u64,
}

async fn count(txn: &DatabaseTransaction, token: &str, now: i64) -> Result<JoinCounts, DbErr> {
    members::Entity::delete_many()
        .filter(members::Column::RenewedMs.lte(dead_before(now)))
        .exec(txn)
        .await?;
    let lately = || members::Entity::find().filter(members::Column::JoinedMs.gt(now - MINUTE_MS));
    let with_token = lately().filter(members::Column::TokenId.eq(token));
    Ok(JoinCounts {
        lately: (with_token.count(txn).await?, lately().count(txn).await?),
        members: members::Entity::find().count(txn).await?,
    })
}

/// Whether the token admits one more peer now.
fn decide(
    token: &join_tokens::Model,
    counts: &JoinCounts,
    limits: &Limits,
    now: i64,
) -> Result<(), NotJoined> {
    let role = role_of(token.seed).word();
    if token.revoked_ms.is_some() {
        return Err(NotJoined::Revoked(role));
    }
    if token.expires_ms <= now {
        return Err(NotJoined::Expired(role));
    }
    if let Some(joins) = token.joins.filter(|joins| token.joined >= *joins) {
        return Err(NotJoined::UsedUp { joins, role });
    }
    let (with_token, with_any) = counts.lately;
    if with_token >= u64::try_from(token.per_minute).unwrap_or_default() {
        return Err(NotJoined::TooFast(with_token));
    }
    if with_any >= limits.joins_a_minute {
        return Err(NotJoined::Crowd(with_any));
    }
    if counts.members >= limits.members {
        return Err(NotJoined::Full(counts.members));
    }
    Ok(())
}

/// Counts in one statement, so that two managers cannot both take the last join. `false`: it is used up.
async fn count_join(txn: &impl ConnectionTrait, token: &join_tokens::Model) -> Result<bool, DbErr> {
    use join_tokens::Column;
    let is_left = Condition::any()
        .add(Column::Joins.is_null())
        .add(Expr::col(Column::Joined).lt(Expr::col(Column::Joins)));
    let counted = join_tokens::Entity::update_many()
        .col_expr(Column::Joined, Expr::col(Column::Joined).add(1))
        .filter(Column::Id.eq(&token.id))
        .filter(is_left)
        .exec(txn)
        .await?;
    Ok(counted.rows_affected == 1)
}

async fn admit(
    txn: &DatabaseTransaction,
    token: join_tokens::Model,
    key_hash: String,
    limits: &Limits,
    now: i64,
) -> Result<Result<PeerIdentity, NotJoined>, DbErr> {
    let cluster = token.cluster()?;
    if clusters::ensure(txn, &cluster, limits.clusters).await?.is_none() {
        return Ok(Err(NotJoined::TooManyClusters(limits.clusters)));
    }
    let peer = token.peer()?.unwrap_or_else(Uuid::new_v4);
    if was_removed(txn, peer).await? {
        return Ok(Err(NotJoined::Removed));
    }
    let identity = PeerIdentity {
        peer,
        cluster,
        role: role_of(token.seed),
    };
    // Under its old uuid a peer comes with a new key.
    members::Entity::delete_by_id(peer.to_string()).exec(txn).await?;
    let row = member_of(&identity, Some(token.id), key_hash, now);
    members::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(Ok(identity))
}

pub(crate) fn member_of(
    identity: &PeerIdentity,
    token: Option<String>,
    key_hash: String,
    now: i64,
) -> members::ActiveModel {
    members::ActiveModel {
        peer_id: Set(identity.peer.to_string()),
        token_id: Set(token),
        key_hash: Set(key_hash),
        cluster: Set(identity.cluster.to_string()),
        seed: Set(identity.role == Role::Seed),
        joined_ms: Set(now),
        renewed_ms: Set(now),
    }
}

fn role_of(seed: bool) -> Role {
    if seed { Role::Seed } else { Role::Node }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn token() -> join_tokens::Model {
        join_tokens::Model {
            id: "t".to_owned(),
            secret_hash: String::new(),
            seed: false,
            cluster: "default".to_owned(),
            joins: Some(3),
            joined: 2,
            per_minute: 10,
            peer_id: None,
            created_ms: NOW - 1,
            expires_ms: NOW + 1,
            revoked_ms: None,
        }
    }

    fn decided(token: &join_tokens::Model, lately: (u64, u64), members: u64) -> Result<(), NotJoined> {
        let limits = Limits {
            joins_a_minute: 20,
            members: 100,
            ..Limits::default()
        };
        decide(token, &JoinCounts { lately, members }, &limits, NOW)
    }

    #[test]
    fn a_token_admits_as_many_as_it_says_until_it_ends() {
        assert_eq!(decided(&token(), (0, 0), 0), Ok(()));
        let unlimited = join_tokens::Model {
            joins: None,
            joined: 1_000,
            ..token()
        };
        assert_eq!(decided(&unlimited, (0, 0), 0), Ok(()));
        let used_up = join_tokens::Model { joined: 3, ..token() };
        assert!(matches!(
            decided(&used_up, (0, 0), 0),
            Err(NotJoined::UsedUp {
                joins: 3,
                role: "node"
            })
        ));
        let expired = join_tokens::Model {
            expires_ms: NOW,
            ..token()
        };
        assert_eq!(decided(&expired, (0, 0), 0), Err(NotJoined::Expired("node")));
        let revoked = join_tokens::Model {
            revoked_ms: Some(NOW),
            ..token()
        };
        assert_eq!(decided(&revoked, (0, 0), 0), Err(NotJoined::Revoked("node")));
    }

    #[test]
    fn joins_are_bounded_by_token_by_minute_and_in_all() {
        assert_eq!(decided(&token(), (9, 19), 99), Ok(()));
        assert_eq!(decided(&token(), (10, 10), 0), Err(NotJoined::TooFast(10)));
        assert_eq!(decided(&token(), (0, 20), 0), Err(NotJoined::Crowd(20)));
        assert_eq!(decided(&token(), (0, 0), 100), Err(NotJoined::Full(100)));
    }

    #[test]
    fn a_clock_that_is_wrong_by_a_day_is_said() {
        let applicant = |clock_unix_ms| Applicant {
            token_id: String::new(),
            secret_hash: String::new(),
            key_hash: String::new(),
            clock_unix_ms,
            wire_version: wire::VERSION,
        };
        assert_eq!(check_protocol(&applicant(NOW + CLOCK_OFF_MS), NOW), Ok(()));
        for wrong in [NOW - 86_400_000, NOW + 86_400_000, i64::MIN, i64::MAX] {
            let refused = check_protocol(&applicant(wrong), NOW);
            assert!(matches!(refused, Err(NotJoined::Clock { .. })), "{wrong}");
        }
    }
}
