//! Clusters, their peers, and what peers hold. The first cluster is `default`, with id 1.

use sea_orm_migration::prelude::*;

use crate::schema::{counted, create, digest, drop, flag, index, number, short, text, uuid};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_clusters(manager).await?;
        create_peers(manager).await?;
        create_holdings(manager).await?;
        create(
            manager,
            "progress",
            vec![
                uuid("peer_id").not_null().primary_key().take(),
                uuid("session").not_null().take(),
                text("report").not_null().take(),
                number("updated_ms").not_null().take(),
            ],
            &[],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["progress", "holdings", "peers", "clusters"]).await
    }
}

async fn create_clusters(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    create(
        manager,
        "clusters",
        vec![counted("id"), short("name", 100).not_null().unique_key().take()],
        &[],
    )
    .await?;
    let mut first = Query::insert();
    first
        .into_table("clusters")
        .columns(["name"])
        .values_panic(["default".into()]);
    manager.execute(first).await
}

async fn create_peers(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        uuid("id").not_null().primary_key().take(),
        short("name", 255).not_null().take(),
        number("cluster_id").not_null().take(),
        flag("seed"),
        text("share_url").not_null().take(),
        short("address", 255).not_null().take(),
        short("software", 255).not_null().take(),
        short("token_id", 64),
        uuid("session"),
        number("last_seen_ms").not_null().take(),
        number("absent_since_ms"),
    ];
    create(manager, "peers", columns, &[]).await?;
    index(manager, "peers", &["session"]).await?;
    index(manager, "peers", &["seed", "session"]).await?;
    index(manager, "peers", &["absent_since_ms"]).await
}

async fn create_holdings(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        uuid("peer_id").not_null().take(),
        digest("digest").not_null().take(),
        number("size").not_null().take(),
    ];
    create(manager, "holdings", columns, &["peer_id", "digest"]).await?;
    index(manager, "holdings", &["digest"]).await
}
