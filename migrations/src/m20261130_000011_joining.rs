//! Join tokens (only hashes of their secrets), joined peers and removed peers.

use sea_orm_migration::prelude::*;

use crate::schema::{counted, create, drop, flag, index, number, short, uuid};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_tokens(manager).await?;
        create_members(manager).await?;
        let removals = vec![
            counted("number"),
            uuid("peer_id").not_null().unique_key().take(),
            number("removed_ms").not_null().take(),
        ];
        create(manager, "removals", removals, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["removals", "members", "join_tokens"]).await
    }
}

async fn create_tokens(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        short("id", 64).not_null().primary_key().take(),
        short("secret_hash", 64).not_null().take(),
        flag("seed"),
        short("cluster", 100).not_null().take(),
        number("joins"),
        number("joined").not_null().take(),
        number("per_minute").not_null().take(),
        uuid("peer_id"),
        number("created_ms").not_null().take(),
        number("expires_ms").not_null().take(),
        number("revoked_ms"),
    ];
    create(manager, "join_tokens", columns, &[]).await
}

async fn create_members(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        uuid("peer_id").not_null().primary_key().take(),
        short("token_id", 64),
        short("key_hash", 64).not_null().take(),
        short("cluster", 100).not_null().take(),
        flag("seed"),
        number("joined_ms").not_null().take(),
        number("renewed_ms").not_null().take(),
    ];
    create(manager, "members", columns, &[]).await?;
    index(manager, "members", &["key_hash"]).await?;
    index(manager, "members", &["joined_ms"]).await?;
    index(manager, "members", &["renewed_ms"]).await
}
