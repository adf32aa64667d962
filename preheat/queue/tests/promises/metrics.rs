//! What operators see.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use queue::{NewWork, PARKED, Urgency, WorkState, depths};
use sea_orm::{DatabaseTransaction, DbErr};

use crate::world::{NOW, World, until, work};

fn scrape(world: &World) -> impl Fn() -> String + use<> {
    let mut registry = Registry::default();
    world.db.register_metrics(&mut registry);
    move || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }
}

#[tokio::test]
async fn every_write_is_counted_by_urgency_and_every_count_starts_at_0() {
    let world = World::new().await;
    let scrape = scrape(&world);
    let count = |urgency: &str, count: u32| {
        let line = format!("stoker_database_write_duration_seconds_count{{urgency=\"{urgency}\"}} {count}\n");
        let text = scrape();
        assert!(text.contains(&line), "{line} is not in\n{text}");
    };
    count("urgent", 0);
    count("background", 0);
    world.enqueue(work("a")).await;
    let written = world.db.write(Urgency::Background, |_: &DatabaseTransaction| {
        Box::pin(async { Ok::<(), DbErr>(()) })
    });
    written.await.unwrap();
    count("urgent", 1);
    count("background", 1);
}

#[tokio::test]
async fn waiting_writes_and_used_connections_are_shown() {
    let world = World::new().await;
    let scrape = scrape(&world);
    assert!(
        scrape().contains("stoker_database_writes_waiting 0\n"),
        "{}",
        scrape()
    );
    let hold = world.hold_writer().await;
    let used: u32 = if world.is_sqlite() { 1 } else { 8 };
    let line = format!("stoker_database_connections{{state=\"used\"}} {used}\n");
    assert!(scrape().contains(&line), "{}", scrape());
    let db = world.db.clone();
    let waiting = async move {
        db.write(Urgency::Urgent, |_: &DatabaseTransaction| {
            Box::pin(async { Ok::<(), DbErr>(()) })
        })
        .await
    };
    let seen = async {
        world.until_queued(1).await;
        let text = scrape();
        hold.let_go().await;
        text
    };
    let (written, text) = tokio::join!(waiting, seen);
    written.unwrap();
    assert!(text.contains("stoker_database_writes_waiting 1\n"), "{text}");
    until(async || scrape().contains("stoker_database_writes_waiting 0\n")).await;
}

#[tokio::test]
async fn work_is_counted_by_kind_and_state_with_the_age_of_its_oldest() {
    let world = World::new().await;
    world.enqueue(work("place")).await;
    world.enqueue(work("place")).await;
    world
        .enqueue(NewWork {
            run_at_ms: PARKED,
            ..work("place")
        })
        .await;
    let holder = world.holder("manager", NOW + 10).await;
    world.claim(holder, 1, NOW).await;
    let mut found: Vec<_> = depths(world.db.reads())
        .await
        .unwrap()
        .into_iter()
        .map(|depth| (depth.kind, depth.state, depth.count, depth.oldest_ms))
        .collect();
    found.sort();
    let of = |state| ("place".to_owned(), state, 1, NOW);
    assert_eq!(
        found,
        [
            of(WorkState::Waiting),
            of(WorkState::Running),
            of(WorkState::Parked)
        ]
    );
}
