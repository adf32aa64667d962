//! Callers' tokens by id, for listing and revoking. The tokens themselves are not stored.

use sea_orm_migration::prelude::*;

use crate::schema::{create, drop, number, short, text};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = vec![
            short("id", 64).not_null().primary_key().take(),
            short("name", 255).not_null().take(),
            text("scopes").not_null().take(),
            number("created_ms").not_null().take(),
            number("expires_ms"),
            number("revoked_ms"),
        ];
        create(manager, "tokens", columns, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["tokens"]).await
    }
}
