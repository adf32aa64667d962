//! A peer's life between two hellos. The session is a holder of the queue: its one lease row keeps all that the
//! peer has taken.
//!
//! **Invariant:** a peer has one session at most. A new hello ends the older one, and its work goes back to
//! waiting in the same transaction.

use queue::{Urgency, renew};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::engine::preheater::{Inner, Preheater};
use crate::memory::sessions::SessionPeer;
use crate::model::errors::SessionError;
use crate::model::limits::milliseconds;
use crate::rows::peers;

/// The kind of holder that a session is.
pub(crate) const SESSION: &str = "session";

/// Whether the session is this peer's; an error when it has ended.
pub async fn is_session_of(preheater: &Preheater, session: Uuid, peer: Uuid) -> Result<bool, SessionError> {
    Ok(live(&preheater.inner, session).await?.id == peer)
}

/// The peer behind a session that has not ended, as far as is known here.
pub(crate) async fn live(inner: &Inner, session: Uuid) -> Result<SessionPeer, SessionError> {
    if let Some(peer) = inner.sessions.lock().get(&session) {
        return Ok(peer.clone());
    }
    let of_session = peers::Column::Session.eq(session.to_string());
    let row = peers::Entity::find()
        .filter(of_session)
        .one(inner.reads())
        .await?;
    let row = row.ok_or(SessionError::Ended)?;
    let (id, cluster_id, seed) = (row.uuid()?, row.cluster_id, row.seed);
    let peer = SessionPeer {
        id,
        name: row.name,
        cluster_id,
        seed,
        renewed_ms: i64::MIN / 2,
    };
    inner.sessions.remember(session, peer.clone());
    Ok(peer)
}

/// The same, with its lease prolonged; written at most three times within a lease.
pub(crate) async fn renewed(inner: &Inner, session: Uuid) -> Result<SessionPeer, SessionError> {
    let mut peer = live(inner, session).await?;
    let (now, lease) = (inner.now_ms(), milliseconds(inner.limits.session_lease));
    if now - peer.renewed_ms < lease / 3 {
        return Ok(peer);
    }
    let still_there = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { renew(txn, session, now + lease).await })
        })
        .await?;
    if !still_there {
        inner.sessions.forget(session);
        return Err(SessionError::Ended);
    }
    peer.renewed_ms = now;
    inner.sessions.remember(session, peer.clone());
    Ok(peer)
}

/// Records the end of these sessions. Their holders were removed before.
pub(crate) async fn ended(txn: &impl ConnectionTrait, sessions: &[Uuid], now: i64) -> Result<(), DbErr> {
    let ids: Vec<String> = sessions.iter().map(Uuid::to_string).collect();
    peers::Entity::update_many()
        .col_expr(peers::Column::Session, Expr::value(None::<String>))
        .col_expr(peers::Column::AbsentSinceMs, Expr::value(now))
        .col_expr(peers::Column::LastSeenMs, Expr::value(now))
        .filter(peers::Column::Session.is_in(ids))
        .exec(txn)
        .await
        .map(drop)
}
