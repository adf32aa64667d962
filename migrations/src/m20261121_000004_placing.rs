//! Lots and placements.

use sea_orm_migration::prelude::*;

use crate::schema::{counted, create, digest, drop, flag, index, number, short, text, uuid};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_lots(manager).await?;
        create_placements(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["placements", "lots"]).await
    }
}

async fn create_lots(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        number("work_id").not_null().primary_key().take(),
        number("preheat_id").not_null().take(),
        number("cluster_id").not_null().take(),
        uuid("peer_id").not_null().take(),
        ColumnDef::new("stage").integer().not_null().take(),
        number("open").not_null().take(),
        flag("expanded"),
        uuid("session"),
        number("fence"),
        number("taken_ms"),
        flag("confirmed"),
    ];
    create(manager, "lots", columns, &[]).await?;
    index(manager, "lots", &["preheat_id", "cluster_id", "stage"]).await?;
    index(manager, "lots", &["peer_id"]).await?;
    index(manager, "lots", &["session"]).await
}

async fn create_placements(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        counted("id"),
        number("preheat_id").not_null().take(),
        number("cluster_id").not_null().take(),
        uuid("peer_id").not_null().take(),
        number("work_id").not_null().take(),
        digest("digest").not_null().take(),
        short("state", 8).not_null().take(),
        number("bytes_from_registry").not_null().take(),
        number("bytes_from_peers").not_null().take(),
        text("reason"),
        short("side", 16),
        flag("peer_left"),
    ];
    create(manager, "placements", columns, &[]).await?;
    index(manager, "placements", &["work_id", "digest"]).await?;
    index(manager, "placements", &["preheat_id", "state"]).await
}
