//! A peer's life between two hellos. The session is a holder of the queue: its one lease row keeps all that the
//! peer has taken.
//!
//! **Invariant:** a peer has one session at most. A new hello ends the older one, and its work goes back to
//! waiting in the same transaction.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use queue::{Urgency, end_holder, register_holder, renew};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;
use wire::{Hello, Role, SecretText, Welcome};

use crate::fault::{HelloError, SessionError, StorageError};
use crate::limits::milliseconds;
use crate::preheater::{Inner, Preheater, lane_of, read_uuid};
use crate::rows::peers;
use crate::{address, clusters, holdings, neighbourhood};

/// The kind of holder that a session is.
pub(crate) const SESSION: &str = "session";
/// Sessions kept in memory; beyond this the database is asked again.
const KEPT: usize = 50_000;

/// Signs what opens `share` of other peers.
pub trait PeerTokens: Send + Sync {
    /// The token, and when it ends in Unix seconds.
    fn issue(&self, peer: Uuid, cluster: &str) -> (SecretText, i64);
    /// Ed25519, 32 bytes in base64.
    fn public_key(&self) -> String;
}

/// The peer behind a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionPeer {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) cluster_id: i64,
    pub(crate) seed: bool,
    renewed_ms: i64,
}

#[derive(Default)]
pub(crate) struct KnownSessions(Mutex<HashMap<Uuid, SessionPeer>>);

impl KnownSessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, SessionPeer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, session: Uuid) {
        self.lock().remove(&session);
    }

    /// When the peer's lease was last prolonged, as far as this process knows.
    pub(crate) fn last_heard_ms(&self, session: Uuid) -> Option<i64> {
        let heard = self.lock().get(&session).map(|peer| peer.renewed_ms);
        heard.filter(|at_ms| *at_ms > 0)
    }

    fn remember(&self, session: Uuid, peer: SessionPeer) {
        let mut known = self.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(session, peer);
    }
}

/// A peer calls in.
pub async fn hello(
    preheater: &Preheater,
    hello: Hello,
    seen_ip: IpAddr,
    token_id: Option<&str>,
    tokens: &dyn PeerTokens,
) -> Result<Welcome, HelloError> {
    let inner = &preheater.inner;
    address::check(&hello)?;
    let knows_holdings = holdings::hash_of(inner, hello.peer).await? == hello.holdings_hash;
    let (peer, cluster, seed) = (hello.peer, hello.cluster.clone(), hello.role == Role::Seed);
    let name = hello.name.clone();
    let session = Uuid::new_v4();
    let (now, lease) = (inner.now_ms(), milliseconds(inner.limits.session_lease));
    let row = new_row(&hello, seen_ip, token_id, session, now);
    let (cluster_id, old) = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(begin(txn, row, hello.cluster, session, now + lease))
        })
        .await?;
    if let Some(old) = old {
        inner.sessions.forget(old);
    }
    inner.sessions.remember(
        session,
        SessionPeer {
            id: peer,
            name: name.clone(),
            cluster_id,
            seed,
            renewed_ms: now,
        },
    );
    if seed {
        neighbourhood::changed(inner);
    }
    inner.bell.ring(&lane_of(peer));
    let role = if seed { "seed" } else { "node" };
    tracing::info!(stoker.peer = name, stoker.peer_id = %peer, stoker.role = role, stoker.cluster = cluster, "{role} {name} has called in");
    let neighbourhood = neighbourhood::current(inner, cluster_id)
        .await
        .map_err(StorageError::from)?;
    let (peer_token, peer_token_ends_unix) = tokens.issue(peer, &cluster);
    Ok(Welcome {
        wire_version: wire::VERSION,
        session,
        cluster_id,
        lease_ms: u64::try_from(lease).unwrap_or_default(),
        peer_token,
        peer_token_ends_unix,
        share_public_key: tokens.public_key(),
        neighbourhood: (*neighbourhood).clone(),
        send_full_holdings: !knows_holdings,
    })
}

fn new_row(
    hello: &Hello,
    seen_ip: IpAddr,
    token_id: Option<&str>,
    session: Uuid,
    now: i64,
) -> peers::ActiveModel {
    let (host, share_url) = address::of(hello, seen_ip);
    peers::ActiveModel {
        id: Set(hello.peer.to_string()),
        name: Set(hello.name.clone()),
        cluster_id: Set(0),
        seed: Set(hello.role == Role::Seed),
        share_url: Set(share_url),
        address: Set(host),
        seen_ip: Set(Some(seen_ip.to_canonical().to_string())),
        software: Set(hello.software.chars().take(255).collect()),
        token_id: Set(token_id.map(str::to_owned)),
        session: Set(Some(session.to_string())),
        last_seen_ms: Set(now),
        absent_since_ms: Set(None),
    }
}

async fn begin(
    txn: &DatabaseTransaction,
    mut row: peers::ActiveModel,
    cluster: String,
    session: Uuid,
    until_ms: i64,
) -> Result<(i64, Option<Uuid>), DbErr> {
    let cluster_id = clusters::ensure(txn, &cluster).await?;
    row.cluster_id = Set(cluster_id);
    let before = peers::Entity::find_by_id(row.id.clone().take().unwrap_or_default())
        .one(txn)
        .await?;
    let old = before
        .and_then(|peer| peer.session)
        .map(|session| read_uuid(&session));
    if let Some(old) = old {
        end_holder(txn, old).await?;
    }
    register_holder(txn, session, SESSION, until_ms).await?;
    let every_column = OnConflict::column(peers::Column::Id)
        .update_columns([
            peers::Column::Name,
            peers::Column::ClusterId,
            peers::Column::Seed,
            peers::Column::ShareUrl,
            peers::Column::Address,
            peers::Column::SeenIp,
            peers::Column::Software,
            peers::Column::TokenId,
            peers::Column::Session,
            peers::Column::LastSeenMs,
            peers::Column::AbsentSinceMs,
        ])
        .to_owned();
    peers::Entity::insert(row)
        .on_conflict(every_column)
        .exec_without_returning(txn)
        .await?;
    Ok((cluster_id, old))
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
    let (id, cluster_id, seed) = (read_uuid(&row.id), row.cluster_id, row.seed);
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

/// Writes down that these sessions are over. Their holders are gone already.
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
