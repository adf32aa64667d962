//! A connection that records its statements.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};

pub(crate) struct Counting<'a> {
    pub(crate) txn: &'a DatabaseTransaction,
    pub(crate) asked: Arc<Mutex<Vec<Statement>>>,
}

impl Counting<'_> {
    fn note(&self, statement: &Statement) {
        self.asked.lock().push(statement.clone());
    }
}

#[async_trait]
impl ConnectionTrait for Counting<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.txn.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.note(&statement);
        self.txn.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.note(&Statement::from_string(self.get_database_backend(), sql));
        self.txn.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.note(&statement);
        self.txn.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.note(&statement);
        self.txn.query_all_raw(statement).await
    }
}
