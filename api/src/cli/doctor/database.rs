//! Checks that the database opens, has tables of this version, and accepts a write.
//!
//! The probe is written and read in a transaction that is rolled back: it leaves nothing and does not disturb a running
//! manager.

use std::path::Path;

use migrations::{Migrator, MigratorTrait as _};
use queue::{Database, Urgency, WriteError, holder_exists, register_holder};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityTrait as _, Statement};
use sea_orm_migration::seaql_migrations;
use tokio::time::timeout;
use uuid::Uuid;

use super::call::LIMIT;
use super::finding::Finding;

const WHAT: &str = "database";

pub(super) async fn check(url: &str) -> Vec<Finding> {
    if let Some(path) = url.strip_prefix("sqlite:").map(path_of)
        && !Path::new(path).exists()
    {
        let found = format!("{path} does not exist yet; the first start creates it");
        return vec![Finding::ok(WHAT, found)];
    }
    let database = match timeout(LIMIT, Database::open(url)).await {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return vec![unopened(&error.to_string())],
        Err(_) => return vec![unopened(&format!("no answer within {} s", LIMIT.as_secs()))],
    };
    let findings = timeout(LIMIT * 2, opened(&database)).await;
    // A failure to close loses nothing: nothing was committed.
    let _ = timeout(LIMIT, database.close()).await;
    findings.unwrap_or_else(|_| vec![unopened("it opened but does not answer")])
}

fn path_of(rest: &str) -> &str {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    path.split('?').next().unwrap_or(path)
}

fn unopened(cause: &str) -> Finding {
    Finding::fail(
        WHAT,
        format!("it cannot be used: {cause}"),
        "check database_url, that the server runs and accepts this user, and the owner of the file",
    )
}

async fn opened(database: &Database) -> Vec<Finding> {
    let steps = fit(&applied(database).await, &known());
    let is_ready = steps.verdict == super::finding::Verdict::Ok;
    let mut findings = vec![steps];
    if is_ready {
        findings.push(probe(database).await);
    }
    findings.extend(journal(database).await);
    findings
}

fn known() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect()
}

/// Empty for a database without tables.
async fn applied(database: &Database) -> Vec<String> {
    let rows = seaql_migrations::Entity::find().all(database.reads()).await;
    rows.unwrap_or_default()
        .into_iter()
        .map(|row| row.version)
        .collect()
}

fn fit(applied: &[String], known: &[String]) -> Finding {
    let is_missing = |from: &[String], step: &String| !from.contains(step);
    if let Some(newer) = applied.iter().find(|step| is_missing(known, step)) {
        return Finding::fail(
            WHAT,
            format!("a newer Stoker wrote it (step {newer})"),
            "install the version that wrote it, or a newer one; do not start this version with it",
        );
    }
    match known.iter().filter(|step| is_missing(applied, step)).count() {
        0 => Finding::ok(WHAT, "it opens, and its tables have this version"),
        _ if applied.is_empty() => Finding::ok(
            WHAT,
            "it opens and has no tables yet; the first start creates them",
        ),
        older => Finding::warn(
            WHAT,
            format!("its tables are {older} steps behind this version"),
            "the manager migrates them at its start; to do it now: stoker migrate",
        ),
    }
}

/// The error with which the probe rolls its transaction back.
enum Rollback {
    Succeeded,
    NotFound,
    Database(DbErr),
}

impl From<DbErr> for Rollback {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

async fn probe(database: &Database) -> Finding {
    let id = Uuid::now_v7();
    let written = database
        .write(Urgency::Urgent, move |txn| {
            Box::pin(async move {
                register_holder(txn, id, "doctor", 0).await?;
                let rollback = if holder_exists(txn, id).await? {
                    Rollback::Succeeded
                } else {
                    Rollback::NotFound
                };
                Err::<(), _>(rollback)
            })
        })
        .await;
    let cause = match written {
        Err(WriteError::Refused(Rollback::Succeeded)) => {
            return Finding::ok(WHAT, "a row was written and read back");
        }
        Err(WriteError::Refused(Rollback::NotFound)) | Ok(()) => {
            "the row that was written cannot be read back".to_owned()
        }
        Err(WriteError::Refused(Rollback::Database(error))) => error.to_string(),
        Err(other) => other.map_refusal(|_| "refused").to_string(),
    };
    Finding::fail(
        WHAT,
        format!("it accepts no write: {cause}"),
        "check for a full disk, a read-only file system, or another program that locks it",
    )
}

/// Checks the journal of SQLite; other databases have no such setting.
async fn journal(database: &Database) -> Option<Finding> {
    let reads = database.reads();
    if reads.get_database_backend() != DbBackend::Sqlite {
        return None;
    }
    let question = Statement::from_string(DbBackend::Sqlite, "PRAGMA journal_mode");
    let row = reads.query_one_raw(question).await.ok().flatten()?;
    Some(journal_of(&row.try_get_by_index::<String>(0).ok()?))
}

fn journal_of(mode: &str) -> Finding {
    if mode.eq_ignore_ascii_case("wal") {
        return Finding::ok(WHAT, "the write-ahead log is on");
    }
    Finding::fail(
        WHAT,
        format!("its journal mode is {mode} instead of wal"),
        "put the data folder on a local disk: network file systems do not support wal",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn steps(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tables_of_a_newer_version_fail_and_of_an_older_one_warn() {
        let known = steps(&["1", "2", "3"]);
        let of = |applied: &[&str]| fit(&steps(applied), &known).verdict;
        assert_eq!(of(&["1", "2", "3"]), Verdict::Ok);
        assert_eq!(of(&[]), Verdict::Ok);
        assert_eq!(of(&["1"]), Verdict::Warn);
        assert_eq!(of(&["1", "2", "3", "4"]), Verdict::Fail);
    }

    #[test]
    fn a_journal_mode_other_than_wal_fails() {
        assert_eq!(journal_of("wal").verdict, Verdict::Ok);
        assert_eq!(journal_of("delete").verdict, Verdict::Fail);
    }

    #[test]
    fn the_path_is_read_from_the_url() {
        let paths = ["/a/b.db", "///a/b.db", "/a/b.db?mode=rwc"].map(path_of);
        assert_eq!(paths, ["/a/b.db", "/a/b.db", "/a/b.db"]);
    }

    #[tokio::test]
    async fn the_check_does_not_change_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stoker.db");
        let url = format!("sqlite:{}", file.display());
        let findings = check(&url).await;
        assert!(
            findings.iter().all(|finding| finding.verdict == Verdict::Ok),
            "{findings:?}"
        );
        assert!(!file.exists(), "the doctor created a database");
        crate::manager::open_database(&url)
            .await
            .expect("migrated")
            .close()
            .await
            .expect("closed");
        let findings = check(&url).await;
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(
            findings.iter().all(|finding| finding.verdict == Verdict::Ok),
            "{findings:?}"
        );
        std::fs::write(&file, b"this is not a database").expect("written");
        let findings = check(&url).await;
        assert_eq!(findings[0].verdict, Verdict::Fail, "{findings:?}");
    }
}
