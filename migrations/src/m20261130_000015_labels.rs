//! Labels of preheats: as JSON with the preheat, to be shown, and one row each, to be searched.

use sea_orm_migration::prelude::*;

use crate::schema::{create, digest, drop, index, number, text};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table("preheats")
            .add_column(text("labels"))
            .to_owned();
        manager.alter_table(alter).await?;
        // The digest of `key=value`: short enough for every index, and equal only where key and value are, which not
        // every database's collation would say of texts.
        let columns = vec![
            digest("label").not_null().take(),
            number("preheat_id").not_null().take(),
        ];
        create(manager, "preheat_labels", columns, &["label", "preheat_id"]).await?;
        index(manager, "preheat_labels", &["preheat_id"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, &["preheat_labels"]).await?;
        let alter = Table::alter().table("preheats").drop_column("labels").to_owned();
        manager.alter_table(alter).await
    }
}
