//! When a preheat last named a registry; unused registries are forgotten.

use sea_orm_migration::prelude::*;

use crate::schema::{index, number};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table("seen_registries")
            .add_column(number("named_ms"))
            .to_owned();
        manager.alter_table(alter).await?;
        index(manager, "seen_registries", &["named_ms"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_time = Index::drop()
            .name("seen_registries_by_named_ms")
            .table("seen_registries")
            .to_owned();
        manager.drop_index(by_time).await?;
        let alter = Table::alter()
            .table("seen_registries")
            .drop_column("named_ms")
            .to_owned();
        manager.alter_table(alter).await
    }
}
