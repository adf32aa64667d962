//! Room for sha512 digests (135 characters) in every column that holds an object's digest.

use sea_orm_migration::prelude::*;

use crate::schema::short;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The tables whose column `digest` must have a value.
const ALWAYS: [&str; 3] = ["holdings", "objects", "placements"];
/// The tables whose column `digest` may be empty.
const SOMETIMES: [&str; 2] = ["preheats", "image_rules"];
/// sha512, with some space for what comes after it.
const LENGTH: u32 = 160;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite does not limit the length of a text, and cannot change a column.
        if manager.get_database_backend() == sea_orm::DatabaseBackend::Sqlite {
            return Ok(());
        }
        for table in ALWAYS {
            lengthen(manager, table, short("digest", LENGTH).not_null().take()).await?;
        }
        for table in SOMETIMES {
            lengthen(manager, table, short("digest", LENGTH)).await?;
        }
        Ok(())
    }

    /// Nothing: an older version works with the longer columns, and shorter ones would cut digests.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

async fn lengthen(
    manager: &SchemaManager<'_>,
    table: &'static str,
    mut column: ColumnDef,
) -> Result<(), DbErr> {
    let alter = Table::alter().table(table).modify_column(&mut column).to_owned();
    manager.alter_table(alter).await
}
