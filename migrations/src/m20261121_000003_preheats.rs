//! Preheats, the objects of their images, and their sealed credentials.

use sea_orm_migration::prelude::*;

use crate::schema::{counted, create, digest, drop, flag, index, number, short, text, uuid};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_preheats(manager).await?;
        create_objects(manager).await?;
        create_credentials(manager).await?;
        let columns = vec![
            short("name", 255).not_null().primary_key().take(),
            flag("plain_http"),
        ];
        create(manager, "seen_registries", columns, &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(
            manager,
            &["seen_registries", "credentials", "objects", "preheats"],
        )
        .await
    }
}

async fn create_preheats(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut columns = vec![counted("id")];
    columns.extend(asked_columns());
    columns.extend(found_columns());
    columns.extend(count_columns());
    create(manager, "preheats", columns, &[]).await?;
    index(manager, "preheats", &["deadline_ms"]).await?;
    index(manager, "preheats", &["no_seed_deadline_ms"]).await?;
    index(manager, "preheats", &["seed_check_ms"]).await
}

fn asked_columns() -> Vec<ColumnDef> {
    vec![
        text("image").not_null().take(),
        short("registry", 255).not_null().take(),
        text("base_path").not_null().take(),
        flag("plain_http"),
        text("repository").not_null().take(),
        text("reference").not_null().take(),
        short("tag", 128),
        short("scope", 32).not_null().take(),
        text("clusters").not_null().take(),
        text("platforms").not_null().take(),
        short("asked_by", 16).not_null().take(),
        short("created_by", 64),
        short("trace", 255),
    ]
}

fn found_columns() -> Vec<ColumnDef> {
    vec![
        short("state", 16).not_null().take(),
        text("reason"),
        short("side", 16),
        digest("digest"),
        short("media_type", 255),
        flag("public"),
        short("credential", 300),
        text("tolerated_absent"),
    ]
}

fn count_columns() -> Vec<ColumnDef> {
    let always = [
        "objects_total",
        "image_bytes",
        "bytes_total",
        "bytes_done",
        "placements_total",
        "placements_open",
        "placements_verified",
        "placements_failed",
        "placements_left",
        "created_ms",
        "updated_ms",
    ];
    let sometimes = [
        "resolved_ms",
        "finished_ms",
        "deadline_ms",
        "no_seed_deadline_ms",
        "seed_check_ms",
    ];
    let always = always.into_iter().map(|name| number(name).not_null().take());
    always.chain(sometimes.into_iter().map(number)).collect()
}

async fn create_objects(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        number("preheat_id").not_null().take(),
        digest("digest").not_null().take(),
        ColumnDef::new("class").integer().not_null().take(),
        short("media_type", 255).not_null().take(),
        number("size").not_null().take(),
        short("platform", 100),
    ];
    create(manager, "objects", columns, &["preheat_id", "digest"]).await?;
    index(manager, "objects", &["digest"]).await
}

async fn create_credentials(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        uuid("id").not_null().primary_key().take(),
        number("preheat_id").not_null().take(),
        ColumnDef::new("sealed").blob().not_null().take(),
    ];
    create(manager, "credentials", columns, &[]).await?;
    index(manager, "credentials", &["preheat_id"]).await
}
