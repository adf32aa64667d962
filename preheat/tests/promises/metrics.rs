//! What operators see.

use std::time::Duration;

use preheat::{PreheatState, Scope};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use wire::TraceContext;

use crate::support::{World, failed, verified};

/// The manager's metrics as they are scraped.
struct Scraper(Registry);

impl Scraper {
    fn of(world: &World) -> Self {
        let mut registry = Registry::default();
        world.preheater.register_metrics(&mut registry);
        Self(registry)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0).unwrap();
        text
    }

    /// The line is there at some moment of the next seconds.
    async fn comes_to(&self, line: &str) {
        for _ in 0..500 {
            if self.text().lines().any(|found| found == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.has(&[line]);
    }

    /// Each line stands there as it is.
    fn has(&self, lines: &[&str]) {
        let text = self.text();
        for line in lines {
            assert!(
                text.lines().any(|found| found == *line),
                "{line} is not in\n{text}"
            );
        }
    }
}

#[tokio::test]
async fn every_count_stands_at_nought_before_anything_has_happened() {
    let world = World::start().await;
    world.preheater.count().await.unwrap();
    let scraper = Scraper::of(&world);
    scraper.has(&[
        "stoker_preheats_submitted_total{asked_by=\"harbor\"} 0",
        "stoker_preheats_submitted_total{asked_by=\"api\"} 0",
        "stoker_preheats_ended_total{outcome=\"succeeded\",side=\"none\"} 0",
        "stoker_preheat_duration_seconds_count{outcome=\"failed\"} 0",
        "stoker_placed_bytes_total{source=\"peer\"} 0",
        "stoker_placements_open 0",
    ]);
    // the manager's own housekeeping writes now and then, so this one is nought again and again, not all the time
    scraper.comes_to("stoker_database_writes_waiting 0").await;
    for side in ["caller", "registry", "network", "peer", "manager"] {
        let ended = format!("_ended_total{{outcome=\"failed\",side=\"{side}\"}} 0");
        scraper.has(&[
            &format!("stoker_preheats{ended}"),
            &format!("stoker_placements{ended}"),
        ]);
    }
    for kind in ["resolve", "plan", "place"] {
        for state in ["waiting", "running", "parked"] {
            scraper.has(&[&format!(
                "stoker_queue_depth{{kind=\"{kind}\",state=\"{state}\"}} 0"
            )]);
        }
        scraper.has(&[&format!(
            "stoker_queue_oldest_age_seconds{{kind=\"{kind}\",state=\"waiting\"}} 0.0"
        )]);
    }
    for state in ["waiting", "resolving", "placing"] {
        scraper.has(&[&format!("stoker_preheats_open{{state=\"{state}\"}} 0")]);
    }
}

#[tokio::test]
async fn a_preheat_is_counted_from_its_request_to_its_end_with_a_way_to_its_trace() {
    let world = World::start().await;
    let scraper = Scraper::of(&world);
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a", "b"]);
    let trace = TraceContext::parse("00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let request = world.request("v1", Scope::SingleSeedPeer);
    preheat::submit(&world.preheater, None, request, trace)
        .await
        .unwrap();
    let lots = seed.take().await;
    world.clock.advance(7_000);
    world.preheater.count().await.unwrap();
    scraper.has(&[
        "stoker_preheats_submitted_total{asked_by=\"api\"} 1",
        "stoker_preheats_open{state=\"placing\"} 1",
        "stoker_placements_open 4",
        "stoker_queue_depth{kind=\"place\",state=\"running\"} 1",
        "stoker_queue_oldest_age_seconds{kind=\"place\",state=\"running\"} 7.0",
        "stoker_preheats_ended_total{outcome=\"succeeded\",side=\"none\"} 0",
    ]);
    seed.settle(verified(&lots[0])).await;
    world.preheater.count().await.unwrap();
    scraper.has(&[
        "stoker_preheats_ended_total{outcome=\"succeeded\",side=\"none\"} 1",
        "stoker_placements_ended_total{outcome=\"verified\",side=\"none\"} 4",
        "stoker_placed_bytes_total{source=\"registry\"} 4",
        "stoker_preheat_duration_seconds_sum{outcome=\"succeeded\"} 7.0",
        "stoker_preheats_open{state=\"placing\"} 0",
        "stoker_placements_open 0",
    ]);
    let text = scraper.text();
    let bucket = text.lines().find(|line| {
        line.starts_with("stoker_preheat_duration_seconds_bucket")
            && line.contains("le=\"10.0\",outcome=\"succeeded\"")
    });
    let bucket = bucket.unwrap();
    assert!(
        bucket.contains("# {trace_id=\"1af7651916cd43dd8448eb211c80319c\"} 7.0"),
        "{bucket}"
    );
}

#[tokio::test]
async fn what_fails_because_of_something_else_is_counted_on_that_side_too() {
    let world = World::start().await;
    let scraper = Scraper::of(&world);
    let seed = world.seed("seed-1").await;
    let node = world.node("node-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllPeers).await;
    let lots = seed.take().await;
    seed.settle(failed(&lots[0], "the registry said 404")).await;
    let view = world.until_state(id, PreheatState::Failed).await;
    assert_eq!(view.placements_failed, 6);
    assert!(node.take_now().await.is_empty());
    scraper.has(&[
        "stoker_placements_ended_total{outcome=\"failed\",side=\"registry\"} 6",
        "stoker_preheats_ended_total{outcome=\"failed\",side=\"registry\"} 1",
        "stoker_preheat_duration_seconds_count{outcome=\"failed\"} 1",
    ]);
}

#[tokio::test]
async fn what_a_deadline_ends_is_counted_too() {
    let world = World::start().await;
    let scraper = Scraper::of(&world);
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    seed.take().await;
    world.clock.advance(1_800_000);
    world.preheater.sweep().await.unwrap();
    world.until_state(id, PreheatState::Failed).await;
    scraper.has(&[
        "stoker_placements_ended_total{outcome=\"failed\",side=\"peer\"} 3",
        "stoker_preheats_ended_total{outcome=\"failed\",side=\"peer\"} 1",
    ]);
}

#[tokio::test]
async fn peers_are_counted_by_cluster_role_and_whether_they_are_there() {
    let world = World::start().await;
    let scraper = Scraper::of(&world);
    world.seed("seed-1").await;
    world.node("node-1").await;
    world.node("node-2").await;
    world.preheater.count().await.unwrap();
    scraper.has(&[
        "stoker_peers{cluster=\"default\",role=\"seed\",state=\"alive\"} 1",
        "stoker_peers{cluster=\"default\",role=\"seed\",state=\"absent\"} 0",
        "stoker_peers{cluster=\"default\",role=\"node\",state=\"alive\"} 2",
    ]);
    world.clock.advance(3_600_000);
    world.preheater.sweep().await.unwrap();
    world.preheater.count().await.unwrap();
    scraper.has(&[
        "stoker_peers{cluster=\"default\",role=\"seed\",state=\"absent\"} 1",
        "stoker_peers{cluster=\"default\",role=\"node\",state=\"alive\"} 0",
        "stoker_peers{cluster=\"default\",role=\"node\",state=\"absent\"} 2",
    ]);
}
