//! Callers' tokens by id: created, listed, revoked. A signed token carries its content; here is only whether it is
//! still valid. Of a token in the path of an endpoint, only the hash is stored.

use std::sync::Arc;

use queue::Urgency;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde::Serialize;

use crate::engine::preheater::Preheater;
use crate::memory::tokens::{EndpointView, TokensRead};
use crate::model::errors::StorageError;
use crate::rows::tokens;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    pub id: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub expires_ms: Option<i64>,
    /// The SHA-256 in hex of a token that is part of the path of an endpoint; none for a signed one.
    pub path_hash: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenView {
    pub id: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_ms: i64,
    pub expires_ms: Option<i64>,
    pub revoked_ms: Option<i64>,
    /// It is part of the path of an endpoint.
    pub is_endpoint: bool,
}

/// The state of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Signed with our key perhaps, but never written down.
    Unknown,
    Good,
    /// Jobs that it made may still be polled with it for a while.
    Revoked {
        at_ms: i64,
    },
}

pub async fn create(preheater: &Preheater, token: NewToken) -> Result<(), StorageError> {
    let inner = &preheater.inner;
    let row = tokens::ActiveModel {
        id: Set(token.id),
        name: Set(token.name),
        scopes: Set(token.scopes.join(" ")),
        created_ms: Set(inner.now_ms()),
        expires_ms: Set(token.expires_ms),
        revoked_ms: Set(None),
        path_hash: Set(token.path_hash),
    };
    let insert = tokens::Entity::insert(row);
    inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { insert.exec_without_returning(txn).await.map(drop) })
        })
        .await?;
    inner.tokens.put(None);
    Ok(())
}

/// Newest first.
pub async fn list(preheater: &Preheater) -> Result<Vec<TokenView>, StorageError> {
    let newest = tokens::Entity::find()
        .order_by_desc(tokens::Column::CreatedMs)
        .order_by_asc(tokens::Column::Id);
    let rows = newest.all(preheater.inner.reads()).await?;
    let view = |row: tokens::Model| TokenView {
        id: row.id,
        name: row.name,
        scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        revoked_ms: row.revoked_ms,
        is_endpoint: row.path_hash.is_some(),
    };
    Ok(rows.into_iter().map(view).collect())
}

/// `false`: there is no such token, or it was revoked before.
pub async fn revoke(preheater: &Preheater, id: &str) -> Result<bool, StorageError> {
    let inner = &preheater.inner;
    let revoke = tokens::Entity::update_many()
        .col_expr(tokens::Column::RevokedMs, Expr::value(inner.now_ms()))
        .filter(tokens::Column::Id.eq(id))
        .filter(tokens::Column::RevokedMs.is_null());
    let changed = inner
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move { revoke.exec(txn).await })
        })
        .await?;
    inner.tokens.put(None);
    Ok(changed.rows_affected == 1)
}

pub async fn standing(preheater: &Preheater, id: &str) -> Result<Standing, StorageError> {
    let known = known(preheater).await?;
    Ok(match known.revoked_ms.get(id) {
        None => Standing::Unknown,
        Some(None) => Standing::Good,
        Some(Some(at_ms)) => Standing::Revoked { at_ms: *at_ms },
    })
}

/// The endpoint whose token has this sha256 (in hex); also one that has ended.
pub async fn endpoint(preheater: &Preheater, path_hash: &str) -> Result<Option<EndpointView>, StorageError> {
    Ok(known(preheater).await?.endpoints.get(path_hash).cloned())
}

async fn known(preheater: &Preheater) -> Result<Arc<TokensRead>, StorageError> {
    let inner = &preheater.inner;
    let now = inner.now_ms();
    if let Some(known) = inner.tokens.get(now) {
        return Ok(known);
    }
    let mut known = TokensRead::default();
    for row in tokens::Entity::find().all(inner.reads()).await? {
        let endpoint = EndpointView {
            id: row.id.clone(),
            expires_ms: row.expires_ms,
            revoked_ms: row.revoked_ms,
        };
        known.endpoints.extend(row.path_hash.map(|hash| (hash, endpoint)));
        known.revoked_ms.insert(row.id, row.revoked_ms);
    }
    let known = Arc::new(known);
    inner.tokens.put(Some((now, Arc::clone(&known))));
    Ok(known)
}

pub async fn any_tokens_exist(preheater: &Preheater) -> Result<bool, StorageError> {
    Ok(tokens::Entity::find().count(preheater.inner.reads()).await? > 0)
}
