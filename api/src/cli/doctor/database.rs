//! The database: does it open, does it fit this program, and does it take a write.
//!
//! The probe is written and read in a transaction that is undone: nothing of it stays, and a manager that runs is not
//! disturbed.

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
        let found = format!("{path} is not there yet; the first start makes it");
        return vec![Finding::ok(WHAT, found)];
    }
    let database = match timeout(LIMIT, Database::open(url)).await {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return vec![unopened(&error.to_string())],
        Err(_) => return vec![unopened(&format!("no answer within {} s", LIMIT.as_secs()))],
    };
    let findings = timeout(LIMIT * 2, opened(&database)).await;
    // Whatever it says, nothing of ours is in it.
    let _ = timeout(LIMIT, database.close()).await;
    findings.unwrap_or_else(|_| vec![unopened("it was opened and does not answer")])
}

fn path_of(rest: &str) -> &str {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    path.split('?').next().unwrap_or(path)
}

fn unopened(cause: &str) -> Finding {
    Finding::fail(
        WHAT,
        format!("it cannot be used: {cause}"),
        "look at database_url, whether the server runs and lets this user in, and at the file's owner",
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
            format!("a newer Stoker has written it (step {newer})"),
            "install the version that wrote it, or a newer one; this one must not be started on it",
        );
    }
    match known.iter().filter(|step| is_missing(applied, step)).count() {
        0 => Finding::ok(WHAT, "it opens, and its tables are at this version"),
        _ if applied.is_empty() => {
            Finding::ok(WHAT, "it opens and has no tables yet; the first start makes them")
        }
        older => Finding::warn(
            WHAT,
            format!("its tables are {older} steps behind this version"),
            "the manager takes these steps when it starts; to take them now: stoker migrate",
        ),
    }
}

/// What the entry is undone with once it has worked.
enum Undone {
    Worked,
    NotFound,
    Database(DbErr),
}

impl From<DbErr> for Undone {
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
                let undone = if holder_exists(txn, id).await? {
                    Undone::Worked
                } else {
                    Undone::NotFound
                };
                Err::<(), _>(undone)
            })
        })
        .await;
    let cause = match written {
        Err(WriteError::Refused(Undone::Worked)) => {
            return Finding::ok(WHAT, "a row was written and read back");
        }
        Err(WriteError::Refused(Undone::NotFound)) | Ok(()) => {
            "what was written cannot be read back".to_owned()
        }
        Err(WriteError::Refused(Undone::Database(error))) => error.to_string(),
        Err(other) => other.map_refusal(|_| "refused").to_string(),
    };
    Finding::fail(
        WHAT,
        format!("it takes no write: {cause}"),
        "look for a full disk, a read-only file system, or another program that holds it locked",
    )
}

/// Only SQLite has one to choose.
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
        return Finding::ok(WHAT, "write-ahead log is on");
    }
    Finding::fail(
        WHAT,
        format!("its journal is {mode}, not a write-ahead log"),
        "put the data folder on a local disk: network file systems cannot do this",
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
    fn a_database_of_a_newer_program_is_a_failure_and_of_an_older_one_is_not() {
        let known = steps(&["1", "2", "3"]);
        let of = |applied: &[&str]| fit(&steps(applied), &known).verdict;
        assert_eq!(of(&["1", "2", "3"]), Verdict::Ok);
        assert_eq!(of(&[]), Verdict::Ok);
        assert_eq!(of(&["1"]), Verdict::Warn);
        assert_eq!(of(&["1", "2", "3", "4"]), Verdict::Fail);
    }

    #[test]
    fn only_a_write_ahead_log_will_do() {
        assert_eq!(journal_of("wal").verdict, Verdict::Ok);
        assert_eq!(journal_of("delete").verdict, Verdict::Fail);
    }

    #[test]
    fn the_file_is_found_in_the_address() {
        let paths = ["/a/b.db", "///a/b.db", "/a/b.db?mode=rwc"].map(path_of);
        assert_eq!(paths, ["/a/b.db", "/a/b.db", "/a/b.db"]);
    }

    #[tokio::test]
    async fn a_database_is_looked_at_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stoker.db");
        let url = format!("sqlite:{}", file.display());
        let findings = check(&url).await;
        assert!(
            findings.iter().all(|finding| finding.verdict == Verdict::Ok),
            "{findings:?}"
        );
        assert!(!file.exists(), "the doctor made a database");
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
        std::fs::write(&file, b"this is no database, whatever its name says").expect("written");
        let findings = check(&url).await;
        assert_eq!(findings[0].verdict, Verdict::Fail, "{findings:?}");
    }
}
