//! Image rules: pins, blocks and recalls.

use sea_orm_migration::prelude::*;

use crate::schema::{counted, create, digest, drop, index, number, short, text};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = vec![
            counted("id"),
            short("kind", 16).not_null().take(),
            text("image").not_null().take(),
            short("registry", 255).not_null().take(),
            short("repository", 255).not_null().take(),
            short("tag", 128),
            digest("digest"),
            text("digests").not_null().take(),
            short("created_by", 255).not_null().take(),
            number("created_ms").not_null().take(),
            number("until_ms"),
            text("reason"),
        ];
        create(manager, "image_rules", columns, &[]).await?;
        index(manager, "image_rules", &["kind", "id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["image_rules"]).await
    }
}
