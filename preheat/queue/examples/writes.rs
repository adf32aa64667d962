//! Measures the writer: many callers, one insert each, like web handlers. Run with `--release`.

use std::time::{Duration, Instant};

use migrations::{Migrator, MigratorTrait};
use queue::{Database, NewWork, Urgency};
use tokio::task::JoinSet;

const ENTRIES: u32 = 20_000;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it prints the results")]
async fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let db = Database::open(&format!("sqlite:{}", folder.path().join("queue.db").display()))
        .await
        .unwrap();
    Migrator::up(db.connection_for_migrations(), None).await.unwrap();
    for callers in [1_u32, 8, 64, 256] {
        let entries = if callers == 1 { ENTRIES / 20 } else { ENTRIES };
        let begun = Instant::now();
        let mut waits = ask(&db, callers, entries).await;
        let per_second = f64::from(entries) / begun.elapsed().as_secs_f64();
        waits.sort();
        let (median, worst) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
        println!("{callers:>4} callers: {per_second:>7.0} entries/s, median {median:?}, p99 {worst:?}");
    }
}

async fn ask(db: &Database, callers: u32, entries: u32) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let db = db.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            for _ in 0..entries / callers {
                let begun = Instant::now();
                let work = NewWork {
                    lane: "manager".to_owned(),
                    kind: "resolve".to_owned(),
                    ..NewWork::default()
                };
                db.write(Urgency::Urgent, move |txn| {
                    Box::pin(async move { queue::enqueue(txn, &work, 0).await })
                })
                .await
                .unwrap();
                waits.push(begun.elapsed());
            }
            waits
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
