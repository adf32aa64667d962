//! The bytes of objects that a registry does not have under their digest, such as manifests with a tag only.

use sea_orm_migration::prelude::*;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut bytes = ColumnDef::new("bytes");
        // A manifest may have 4 MiB, and a blob of MySQL and MariaDB holds 64 KiB.
        let bytes = match manager.get_database_backend() {
            sea_orm::DatabaseBackend::MySql => bytes.custom("mediumblob"),
            _ => bytes.blob(),
        };
        let alter = Table::alter().table("objects").add_column(bytes).to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter().table("objects").drop_column("bytes").to_owned();
        manager.alter_table(alter).await
    }
}
