//! Removes peers that registered before peers had certificates; they return as new peers.

use sea_orm_migration::prelude::*;

/// The step's name is its file's name.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut left = Query::update();
        left.table("peers")
            .value("session", Option::<String>::None)
            .value("absent_since_ms", Expr::col("last_seen_ms"))
            .cond_where(Expr::col("session").is_not_null())
            .cond_where(never_joined("id"));
        manager.execute(left).await?;
        let mut forgotten = Query::delete();
        forgotten
            .from_table("holdings")
            .cond_where(never_joined("peer_id"));
        manager.execute(forgotten).await
    }

    /// Nothing to restore: such a peer registers again.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

fn never_joined(peer: &'static str) -> Expr {
    let mut members = Query::select();
    members.column("peer_id").from("members");
    Expr::col(peer).not_in_subquery(members)
}
