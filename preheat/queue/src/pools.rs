//! The connections of an open database and its writer.

use sea_orm::{DatabaseConnection, DbBackend};

use crate::writer::Writer;

pub(crate) struct Pools {
    pub(crate) reads: DatabaseConnection,
    pub(crate) writes: DatabaseConnection,
    pub(crate) writer: Writer,
}

impl Pools {
    /// Returns the idle and the used connections of both pools.
    pub(crate) fn connections(&self) -> (i64, i64) {
        let pools = [counted(&self.reads), counted(&self.writes)];
        let (open, idle) = pools
            .iter()
            .fold((0, 0), |sum, pool| (sum.0 + pool.0, sum.1 + pool.1));
        (idle, (open - idle).max(0))
    }
}

/// Returns a pool's open connections, and how many of them are idle.
fn counted(pool: &DatabaseConnection) -> (i64, i64) {
    let (open, idle) = match pool.get_database_backend() {
        DbBackend::Sqlite => of_pool(pool.get_sqlite_connection_pool()),
        DbBackend::Postgres => of_pool(pool.get_postgres_connection_pool()),
        DbBackend::MySql => of_pool(pool.get_mysql_connection_pool()),
        _ => (0, 0),
    };
    (i64::from(open), i64::try_from(idle).unwrap_or(i64::MAX))
}

fn of_pool<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> (u32, usize) {
    (pool.size(), pool.num_idle())
}
