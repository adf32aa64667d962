//! Work items and their holders with leases.
//!
//! Times are integer milliseconds, which are alike on all three databases. There is no foreign key from a work item to
//! its holder, because items of a vanished holder must be found and returned.

use sea_orm_migration::prelude::*;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_holders(manager).await?;
        create_work(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("work").to_owned()).await?;
        manager
            .drop_table(Table::drop().table("holders").to_owned())
            .await
    }
}

async fn create_holders(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("holders")
                .col(ColumnDef::new("id").string_len(36).not_null().primary_key())
                .col(ColumnDef::new("kind").string_len(16).not_null())
                .col(ColumnDef::new("lease_until_ms").big_integer().not_null())
                .to_owned(),
        )
        .await?;
    index(manager, "holders_by_lease", "holders", &["lease_until_ms"]).await
}

async fn create_work(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("work")
                .col(
                    ColumnDef::new("id")
                        .big_integer()
                        .not_null()
                        .auto_increment()
                        .primary_key(),
                )
                .col(ColumnDef::new("lane").string_len(80).not_null())
                .col(ColumnDef::new("kind").string_len(40).not_null())
                .col(ColumnDef::new("payload").text().not_null())
                .col(ColumnDef::new("state").string_len(8).not_null())
                .col(ColumnDef::new("holder").string_len(36))
                .col(ColumnDef::new("fence").big_integer().not_null())
                .col(ColumnDef::new("attempt").integer().not_null())
                .col(ColumnDef::new("priority").integer().not_null())
                .col(ColumnDef::new("run_at_ms").big_integer().not_null())
                .col(ColumnDef::new("created_ms").big_integer().not_null())
                .col(ColumnDef::new("trace").string_len(255))
                .col(ColumnDef::new("work_group").string_len(80))
                .col(ColumnDef::new("last_error").text())
                .to_owned(),
        )
        .await?;
    // In the order of a claim, so that it reads as many rows as it takes, however long the lane is.
    let mut claims = Index::create();
    claims.name("work_by_lane").table("work").col("lane").col("state");
    claims
        .col(("priority", IndexOrder::Desc))
        .col("run_at_ms")
        .col("id");
    manager.create_index(claims).await?;
    index(manager, "work_by_holder", "work", &["holder"]).await?;
    index(manager, "work_by_group", "work", &["work_group"]).await
}

async fn index(manager: &SchemaManager<'_>, name: &str, table: &str, columns: &[&str]) -> Result<(), DbErr> {
    let mut index = Index::create();
    index.name(name.to_owned()).table(table.to_owned());
    for column in columns {
        index.col((*column).to_owned());
    }
    manager.create_index(index).await
}
