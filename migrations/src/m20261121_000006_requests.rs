//! Optional fields and results of requests, and tokens in paths.

use sea_orm_migration::prelude::*;

use crate::schema::{number, short, text};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in columns_of_preheats() {
            add(manager, "preheats", column).await?;
        }
        add(manager, "tokens", short("path_hash", 64)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        remove(manager, "tokens", "path_hash").await?;
        for column in columns_of_preheats() {
            remove(manager, "preheats", &column.get_column_name()).await?;
        }
        Ok(())
    }
}

/// Every new column has a default, for rows of older versions.
fn columns_of_preheats() -> Vec<ColumnDef> {
    vec![
        text("peer_choice"),
        ColumnDef::new("priority").integer().not_null().default(0).take(),
        number("time_limit_ms"),
        ColumnDef::new("referrers").boolean().take(),
        ColumnDef::new("had_credential")
            .boolean()
            .not_null()
            .default(false)
            .take(),
        short("delivery", 255),
        short("fair_key", 255),
        number("follows"),
        short("share_key", 64),
        number("attempt").not_null().default(1).take(),
        text("notes"),
    ]
}

async fn add(manager: &SchemaManager<'_>, table: &'static str, mut column: ColumnDef) -> Result<(), DbErr> {
    // One column per statement: SQLite's limit.
    let alter = Table::alter().table(table).add_column(&mut column).to_owned();
    manager.alter_table(alter).await
}

async fn remove(manager: &SchemaManager<'_>, table: &'static str, column: &str) -> Result<(), DbErr> {
    let alter = Table::alter()
        .table(table)
        .drop_column(column.to_owned())
        .to_owned();
    manager.alter_table(alter).await
}
