//! A look at the rows, for promises about what is written and what is gone.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::support::World;

pub(crate) async fn database(world: &World) -> DatabaseConnection {
    let path = world.dir.path().join("stoker.db");
    sea_orm::Database::connect(format!("sqlite:{}", path.display()))
        .await
        .unwrap()
}

/// Rows of a table, or of a table and a condition: `work WHERE lane = 'manager'`.
pub(crate) async fn count(world: &World, table: &str) -> i64 {
    number(world, &format!("SELECT count(*) AS n FROM {table}")).await
}

/// What a question that calls its answer `n` finds.
pub(crate) async fn number(world: &World, question: &str) -> i64 {
    let question = Statement::from_string(DbBackend::Sqlite, question);
    let row = database(world)
        .await
        .query_one_raw(question)
        .await
        .unwrap()
        .unwrap();
    row.try_get("", "n").unwrap()
}

pub(crate) async fn execute(world: &World, statement: &str) {
    database(world).await.execute_unprepared(statement).await.unwrap();
}
