//! The token that created a pin or block: only it and administrators may delete the rule.

use sea_orm_migration::prelude::*;

use crate::schema::short;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table("image_rules")
            .add_column(short("created_by_token", 64))
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table("image_rules")
            .drop_column("created_by_token")
            .to_owned();
        manager.alter_table(alter).await
    }
}
