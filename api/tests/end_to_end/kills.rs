//! `kill -9` at random moments: every preheat ends, and ends truthfully. The oracle is `sha256sum`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use world::harbor::{State, Wish};
use world::sha256sum::seed_holds;
use world::{Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, Registry};

use crate::{LIMIT, described};

const KILLS: usize = 10;
/// Of the kills, so many have to hit a running placement; else the moments are badly chosen and nothing is shown.
const HITS: usize = 7;

#[derive(Clone, Copy)]
enum Victim {
    Manager,
    Seed,
}

struct Stage {
    registry: Registry,
    manager: Manager,
    seed: Peer,
}

impl Stage {
    async fn set() -> Self {
        let registry = Registry::plain().await;
        let config = described(&registry, None) + "[timeouts]\nsession_lease = \"4s\"\n";
        let manager = ManagerSpec::new().config(&config).start().await;
        let seed = Peer::seed("seed", &manager).await;
        Self {
            registry,
            manager,
            seed,
        }
    }

    /// An image that nobody has, so that every preheat has bytes to move.
    async fn fresh_image(&self, number: usize) -> Image {
        let seed = 1_000 + u64::try_from(number).expect("small");
        let layers = (0..4).map(|_| LayerSpec::of(12 << 20));
        let image = ImageSpec::new(seed).layers(layers).build();
        self.registry
            .push(&image, "library/app", &format!("v{number}"))
            .await;
        image
    }

    /// Whether the preheat has placements that are open.
    async fn is_placing(&self, id: i64) -> bool {
        let view: Value = self.manager.get(&format!("/api/v1/preheats/{id}")).await;
        view["state"] == "placing" && view["placements"]["open"].as_i64().unwrap_or(0) > 0
    }

    async fn kill(&mut self, victim: Victim, away: Duration) {
        match victim {
            Victim::Manager => self.manager.kill9(),
            Victim::Seed => self.seed.kill9(),
        }
        tokio::time::sleep(away).await;
        match victim {
            Victim::Manager => self.manager.start_again().await,
            Victim::Seed => self.seed.start_again().await,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a poll loop beside the test, awaited in it"
)]
/// Kills `victim` once in each of ten preheats and follows each with one poll loop.
async fn survive_kills_of(victim: Victim) {
    let chance: u64 = rand::rng().random();
    report(&format!("the moments come from seed {chance}"));
    let mut random = StdRng::seed_from_u64(chance);
    let mut stage = Stage::set().await;
    let hits = AtomicUsize::new(0);
    for number in 0..KILLS {
        let image = stage.fresh_image(number).await;
        let wish = Wish::new(stage.registry.manifest_url("library/app", &format!("v{number}")));
        let mut harbor = stage.manager.harbor();
        let id = harbor.preheat(&wish).await.expect("taken").id;
        let placing = world::eventually("placements are open", LIMIT, async || {
            stage.is_placing(id).await.then_some(())
        });
        let wait = Duration::from_millis(random.random_range(0..120));
        let away = Duration::from_millis(random.random_range(0..1_500));
        let polling = tokio::spawn(async move { harbor.until_done_across_restarts(id, LIMIT).await });
        placing.await;
        tokio::time::sleep(wait).await;
        if stage.is_placing(id).await {
            hits.fetch_add(1, Ordering::Relaxed);
        }
        report(&format!(
            "kill {number}: {wait:?} after placing began, away for {away:?}"
        ));
        stage.kill(victim, away).await;

        let poll = polling.await.expect("the poll loop");
        let held = seed_holds(&stage.seed.data_dir(), image.digests()).await;
        match poll.state {
            State::Success => assert_eq!(held, Ok(()), "success was said and is not true"),
            State::Failure => assert!(!poll.errors.is_empty(), "a failure without a reason"),
            State::Pending => panic!("preheat {id} never ended"),
        }
        // Nobody stays away for long here, so nothing has a reason to fail.
        assert_eq!(poll.state, State::Success, "{:?}", poll.errors);
    }
    let hits = hits.into_inner();
    report(&format!("{hits} of {KILLS} kills hit a running placement"));
    assert!(
        hits >= HITS,
        "only {hits} of {KILLS} kills hit a running placement"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_killed_loses_nothing_and_lies_about_nothing() {
    survive_kills_of(Victim::Manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_is_killed_loses_nothing_and_is_not_lied_about() {
    survive_kills_of(Victim::Seed).await;
}

#[expect(
    clippy::print_stderr,
    reason = "shown with a failure, so that it can be run again"
)]
fn report(line: &str) {
    eprintln!("{line}");
}
