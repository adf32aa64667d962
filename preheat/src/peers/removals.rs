//! Removed peers: refused at once, by the manager and, through a signed list, by all other peers.
//!
//! **Invariant:** the list's number only grows, and a peer that is on it has no session and holds nothing.

use std::sync::Arc;

use queue::{Urgency, end_holder};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;
use wire::{REMOVED_AT_MOST, RemovalList, Signed, Validity};

use super::sessions;
use crate::engine::preheater::{Inner, Preheater};
use crate::memory::removals::{ReadRemovals, SignedRemovals};
use crate::model::errors::StorageError;
use crate::rows::damaged::or_skip;
use crate::rows::{holdings, join_tokens, members, peers, removals};

/// Changes of another manager take effect here after this time.
const KNOWN_FOR_MS: i64 = 1_000;
/// After this the list is read again though its number is the same: old entries drop out.
const READ_AGAIN_MS: i64 = 3_600_000;

async fn current(inner: &Inner) -> Result<Arc<SignedRemovals>, StorageError> {
    let now = inner.now_ms();
    let known = inner.removals.get();
    if let Some(known) = known
        .as_ref()
        .filter(|known| now - known.looked_ms < KNOWN_FOR_MS)
    {
        return Ok(Arc::clone(&known.signed));
    }
    let number = last_number(inner).await?;
    let unchanged =
        known.filter(|known| known.signed.list.number == number && now - known.read_ms < READ_AGAIN_MS);
    let known = match unchanged {
        Some(known) => ReadRemovals {
            looked_ms: now,
            ..known
        },
        None => ReadRemovals {
            looked_ms: now,
            read_ms: now,
            signed: Arc::new(read(inner, now).await?),
        },
    };
    let current = Arc::clone(&known.signed);
    inner.removals.put(Some(known));
    Ok(current)
}

async fn last_number(inner: &Inner) -> Result<i64, DbErr> {
    let last = removals::Entity::find()
        .order_by_desc(removals::Column::Number)
        .one(inner.reads())
        .await?;
    Ok(last.map_or(0, |row| row.number))
}

/// A removed peer is listed until its last certificate has expired.
async fn read(inner: &Inner, now: i64) -> Result<SignedRemovals, StorageError> {
    let rows = removals::Entity::find()
        .order_by_desc(removals::Column::Number)
        .limit(REMOVED_AT_MOST as u64)
        .all(inner.reads())
        .await?;
    let list = RemovalList {
        number: rows.first().map_or(0, |row| row.number),
        peers: rows
            .iter()
            .filter(|row| row.removed_ms > dead_before(now))
            .filter_map(|row| or_skip(row.peer()))
            .collect(),
    };
    let signed = inner
        .signing
        .sign(&list)
        .ok_or_else(|| StorageError::Broken("the removal list cannot be signed".to_owned()))?;
    Ok(SignedRemovals { list, signed })
}

/// Certificates that were issued before this time have expired.
pub(crate) fn dead_before(now_ms: i64) -> i64 {
    now_ms - Validity::longest() * 1_000
}

/// The list for a peer that knows the one with this number; none when that is the newest.
pub(crate) async fn news(inner: &Inner, known: i64) -> Result<Option<Signed<RemovalList>>, StorageError> {
    let current = current(inner).await?;
    Ok((current.list.number > known).then(|| current.signed.clone()))
}

pub(crate) async fn signed(inner: &Inner) -> Result<Signed<RemovalList>, StorageError> {
    Ok(current(inner).await?.signed.clone())
}

/// The list as peers get it.
pub async fn removal_list(preheater: &Preheater) -> Result<Signed<RemovalList>, StorageError> {
    signed(&preheater.inner).await
}

/// Whether the peer was removed.
pub async fn is_removed(preheater: &Preheater, peer: Uuid) -> Result<bool, StorageError> {
    Ok(current(&preheater.inner).await?.list.names(peer))
}

/// The result of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedPeer {
    /// The join token that was revoked with the peer.
    pub token: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("there is no peer {0}; see `stoker peers`")]
    Unknown(Uuid),
    #[error(
        "{REMOVED_AT_MOST} peers were removed in the last 120 days, and no list holds more: revoke the join token \
         instead, and wait"
    )]
    Full,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Removes a peer permanently. `with_token` revokes its join token too.
pub async fn remove_peer(
    preheater: &Preheater,
    peer: Uuid,
    with_token: bool,
) -> Result<RemovedPeer, RemoveError> {
    let inner = &preheater.inner;
    let now = inner.now_ms();
    let done = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(remove(txn, peer, with_token, None, now))
        })
        .await?;
    let (removed, session) = done?;
    follow(inner, session);
    tracing::info!(stoker.peer_id = %peer, "peer removed");
    Ok(removed)
}

/// Carries out the effects of a committed removal.
pub(crate) fn follow(inner: &Inner, session: Option<Uuid>) {
    if let Some(session) = session {
        inner.sessions.forget(session);
    }
    inner.removals.put(None);
    // Every long poll looks again, and carries the list to its peer.
    inner.surroundings_changed();
}

/// The removed peer, and the session that ended with it.
pub(crate) type RemovalOutcome = Result<(RemovedPeer, Option<Uuid>), RemoveError>;

/// `reason`: why, if the manager does it by itself.
pub(crate) async fn remove(
    txn: &DatabaseTransaction,
    peer: Uuid,
    with_token: bool,
    reason: Option<String>,
    now: i64,
) -> Result<RemovalOutcome, DbErr> {
    let row = peers::Entity::find_by_id(peer.to_string()).one(txn).await?;
    let member = members::Entity::find_by_id(peer.to_string()).one(txn).await?;
    if row.is_none() && member.is_none() {
        return Ok(Err(RemoveError::Unknown(peer)));
    }
    if !list(txn, peer, reason, now).await? {
        return Ok(Err(RemoveError::Full));
    }
    holdings::Entity::delete_many()
        .filter(holdings::Column::PeerId.eq(peer.to_string()))
        .exec(txn)
        .await?;
    let session = row.map(|row| row.session()).transpose()?.flatten();
    if let Some(session) = session {
        end_holder(txn, session).await?;
        sessions::ended(txn, &[session], now).await?;
    }
    let token = member.and_then(|member| member.token_id).filter(|_| with_token);
    if let Some(token) = &token {
        revoke(txn, token, now).await?;
    }
    Ok(Ok((RemovedPeer { token }, session)))
}

/// Whether the peer was removed, however long ago.
pub(crate) async fn was_removed(txn: &DatabaseTransaction, peer: Uuid) -> Result<bool, DbErr> {
    let of_peer = removals::Column::PeerId.eq(peer.to_string());
    Ok(removals::Entity::find().filter(of_peer).one(txn).await?.is_some())
}

/// `false`: the list is full.
async fn list(
    txn: &DatabaseTransaction,
    peer: Uuid,
    reason: Option<String>,
    now: i64,
) -> Result<bool, DbErr> {
    if was_removed(txn, peer).await? {
        return Ok(true);
    }
    let alive = removals::Column::RemovedMs.gt(dead_before(now));
    if removals::Entity::find().filter(alive).count(txn).await? >= REMOVED_AT_MOST as u64 {
        return Ok(false);
    }
    let row = removals::ActiveModel {
        number: NotSet,
        peer_id: Set(peer.to_string()),
        removed_ms: Set(now),
        reason: Set(reason),
    };
    removals::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(true)
}

async fn revoke(txn: &DatabaseTransaction, token: &str, now: i64) -> Result<(), DbErr> {
    join_tokens::Entity::update_many()
        .col_expr(join_tokens::Column::RevokedMs, Expr::value(now))
        .filter(join_tokens::Column::Id.eq(token))
        .filter(join_tokens::Column::RevokedMs.is_null())
        .exec(txn)
        .await
        .map(drop)
}
