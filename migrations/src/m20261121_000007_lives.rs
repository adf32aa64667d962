//! Attempts, filters, sharing and fair queueing of preheats.

use sea_orm_migration::prelude::*;

use crate::schema::{index, number, short, text};

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Of `preheats`; each is a filter or what a look by id leads to.
const INDEXES: [&[&str]; 6] = [
    &["state", "id"],
    &["created_by", "id"],
    &["registry", "id"],
    &["finished_ms"],
    &["share_key"],
    &["follows"],
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add(manager, "preheats", number("retried_ms")).await?;
        add(manager, "preheats", text("tells")).await?;
        for columns in INDEXES {
            index(manager, "preheats", columns).await?;
        }
        once(manager, "preheats", "delivery").await?;
        add(manager, "peers", short("seen_ip", 45)).await?;
        add(manager, "work", short("fair_key", 255)).await?;
        let pass = number("pass").not_null().default(0).take();
        add(manager, "work", pass).await?;
        drop_index(manager, "work", "work_by_lane").await?;
        claims(manager, &["pass", "id", "run_at_ms"]).await?;
        index(manager, "work", &["lane", "fair_key", "priority", "pass"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_index(manager, "work", "work_by_lane_fair_key_priority_pass").await?;
        drop_index(manager, "work", "work_by_lane").await?;
        claims(manager, &["run_at_ms", "id"]).await?;
        for column in ["pass", "fair_key"] {
            remove(manager, "work", column).await?;
        }
        remove(manager, "peers", "seen_ip").await?;
        drop_index(manager, "preheats", "preheats_by_delivery").await?;
        for columns in INDEXES {
            let name = format!("preheats_by_{}", columns.join("_"));
            drop_index(manager, "preheats", &name).await?;
        }
        remove(manager, "preheats", "tells").await?;
        remove(manager, "preheats", "retried_ms").await
    }
}

/// Only one row has a value; any number have none.
async fn once(manager: &SchemaManager<'_>, table: &'static str, column: &'static str) -> Result<(), DbErr> {
    let mut index = Index::create();
    index
        .name(format!("{table}_by_{column}"))
        .table(table)
        .col(column);
    index.unique();
    manager.create_index(index).await
}

/// In the order of a claim.
async fn claims(manager: &SchemaManager<'_>, last: &[&'static str]) -> Result<(), DbErr> {
    let mut claims = Index::create();
    claims.name("work_by_lane").table("work").col("lane").col("state");
    claims.col(("priority", IndexOrder::Desc));
    for column in last {
        claims.col(*column);
    }
    manager.create_index(claims).await
}

async fn add(manager: &SchemaManager<'_>, table: &'static str, mut column: ColumnDef) -> Result<(), DbErr> {
    let alter = Table::alter().table(table).add_column(&mut column).to_owned();
    manager.alter_table(alter).await
}

async fn remove(manager: &SchemaManager<'_>, table: &'static str, column: &'static str) -> Result<(), DbErr> {
    let alter = Table::alter().table(table).drop_column(column).to_owned();
    manager.alter_table(alter).await
}

async fn drop_index(manager: &SchemaManager<'_>, table: &'static str, name: &str) -> Result<(), DbErr> {
    let drop = Index::drop().table(table).name(name.to_owned()).to_owned();
    manager.drop_index(drop).await
}
