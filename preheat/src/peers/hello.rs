//! A peer registers and gets a session.
//!
//! **Invariant:** a peer has one session at most. A new hello ends the older one, and its work goes back to waiting in
//! the
//! same transaction.

use std::net::IpAddr;

use queue::{Urgency, end_holder, register_holder};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use uuid::Uuid;
use wire::{Hello, PeerIdentity, Role, Welcome};

use super::sessions::SESSION;
use super::{address, clusters, holdings, joining, neighbourhood, removals};
use crate::engine::preheater::Preheater;
use crate::engine::work::lane_of;
use crate::memory::sessions::SessionPeer;
use crate::model::errors::{HelloError, StorageError};
use crate::model::limits::{Limits, milliseconds};
use crate::rows::{members, peers};

/// Registers a peer. Its certificate states its identity.
pub async fn hello(
    preheater: &Preheater,
    identity: &PeerIdentity,
    hello: Hello,
    seen_ip: IpAddr,
) -> Result<Welcome, HelloError> {
    let inner = &preheater.inner;
    address::check(&hello, seen_ip)?;
    let peer = identity.peer;
    if removals::is_removed(preheater, peer).await? {
        return Err(HelloError::Removed);
    }
    let knows_holdings = holdings::hash_of(inner, peer).await? == hello.holdings_hash;
    let session = Uuid::new_v4();
    let (now, lease) = (inner.now_ms(), milliseconds(inner.limits.session_lease));
    let beginning = NewSession {
        row: new_row(identity, &hello, seen_ip, session, now),
        identity: identity.clone(),
        session,
        now,
        until_ms: now + lease,
        limits: inner.limits.clone(),
    };
    let (cluster_id, old) = inner
        .write(Urgency::Urgent, move |txn| Box::pin(begin(txn, beginning)))
        .await??;
    if let Some(old) = old {
        inner.sessions.forget(old);
    }
    let seed = identity.role == Role::Seed;
    let known = SessionPeer {
        id: peer,
        name: hello.name.clone(),
        cluster_id,
        seed,
        renewed_ms: now,
    };
    inner.sessions.remember(session, known);
    if seed {
        inner.surroundings_changed();
    }
    inner.bell.ring(&lane_of(peer));
    log_registered(identity, &hello.name);
    let neighbourhood = neighbourhood::current(inner, cluster_id)
        .await
        .map_err(StorageError::from)?;
    Ok(Welcome {
        wire_version: wire::VERSION,
        session,
        cluster_id,
        lease_ms: u64::try_from(lease).unwrap_or_default(),
        neighbourhood: (*neighbourhood).clone(),
        send_full_holdings: !knows_holdings,
        removals: removals::signed(inner).await?,
    })
}

fn log_registered(identity: &PeerIdentity, name: &str) {
    let (role, cluster) = (identity.role.word(), &identity.cluster);
    tracing::info!(stoker.peer = name, stoker.peer_id = %identity.peer, stoker.role = role, stoker.cluster = %cluster, "{role} {name} registered");
}

fn new_row(
    identity: &PeerIdentity,
    hello: &Hello,
    seen_ip: IpAddr,
    session: Uuid,
    now: i64,
) -> peers::ActiveModel {
    let (host, share_url) = address::of(hello, seen_ip);
    peers::ActiveModel {
        id: Set(identity.peer.to_string()),
        name: Set(hello.name.clone()),
        cluster_id: Set(0),
        seed: Set(identity.role == Role::Seed),
        share_url: Set(share_url),
        address: Set(host),
        seen_ip: Set(Some(seen_ip.to_canonical().to_string())),
        software: Set(hello.software.chars().take(255).collect()),
        token_id: Set(None),
        session: Set(Some(session.to_string())),
        last_seen_ms: Set(now),
        absent_since_ms: Set(None),
    }
}

/// A session that is to begin.
struct NewSession {
    row: peers::ActiveModel,
    identity: PeerIdentity,
    session: Uuid,
    now: i64,
    until_ms: i64,
    limits: Limits,
}

/// The cluster's id, and the peer's session before.
type BeginOutcome = Result<(i64, Option<Uuid>), HelloError>;

async fn begin(txn: &DatabaseTransaction, beginning: NewSession) -> Result<BeginOutcome, DbErr> {
    let NewSession {
        mut row,
        identity,
        session,
        now,
        until_ms,
        limits,
    } = beginning;
    let before = peers::Entity::find_by_id(identity.peer.to_string())
        .one(txn)
        .await?;
    let old = before.map(|peer| peer.session()).transpose()?.flatten();
    if old.is_none() && live_peers(txn).await? >= limits.live_peers {
        return Ok(Err(HelloError::Full(limits.live_peers)));
    }
    let Some(cluster_id) = clusters::ensure(txn, &identity.cluster, limits.clusters).await? else {
        return Ok(Err(HelloError::TooManyClusters(limits.clusters)));
    };
    row.cluster_id = Set(cluster_id);
    row.token_id = Set(token_of(txn, &identity, now).await?);
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
    Ok(Ok((cluster_id, old)))
}

async fn live_peers(txn: &DatabaseTransaction) -> Result<u64, DbErr> {
    let live = peers::Column::Session.is_not_null();
    peers::Entity::find().filter(live).count(txn).await
}

/// The join token that the peer came by. A certificate of ours is proof enough: a peer that joined before an older copy
/// of the database was restored is noted again.
async fn token_of(
    txn: &DatabaseTransaction,
    identity: &PeerIdentity,
    now: i64,
) -> Result<Option<String>, DbErr> {
    if let Some(member) = members::Entity::find_by_id(identity.peer.to_string())
        .one(txn)
        .await?
    {
        return Ok(member.token_id);
    }
    let row = joining::member_of(identity, None, String::new(), now);
    members::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(None)
}
