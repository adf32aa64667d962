//! Why the manager removed a peer.

use sea_orm_migration::prelude::*;

use crate::schema::text;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table("removals")
            .add_column(text("reason"))
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter().table("removals").drop_column("reason").to_owned();
        manager.alter_table(alter).await
    }
}
