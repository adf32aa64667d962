//! Bandwidth limits of clusters that are set at runtime.

use sea_orm_migration::prelude::*;

use crate::schema::text;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table("clusters")
            .add_column(text("limits"))
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter().table("clusters").drop_column("limits").to_owned();
        manager.alter_table(alter).await
    }
}
