//! Requests as Harbor sends them, and responses that Harbor's client accepts.

use api::AuthMode;
use api::tokens::Scope;
use wire::{PlacementOutcome, Side};

use crate::go_client::{GoState, read};
use crate::raw::{RawConnection, fixture, registry_token};
use crate::registry::{self, RegistryAt};
use crate::seed::{FakeSeed, verified};
use crate::world::World;

const DISK_FULL: &str = "the disk of seed-1 is full: free some space";
const OBJECTS: usize = 3; // manifest, config, layer

#[tokio::test]
async fn what_harbor_sends_is_answered_as_harbors_client_demands() {
    for version in ["2.12", "2.15"] {
        let world = World::start().await;
        let token = world.token([Scope::Preheat]).await.text;
        let mut connection = RawConnection::to(world.address).await;
        let health = connection
            .send(&fixture(&format!("harbor-{version}-health.http"), &token))
            .await;
        assert_eq!(health.status, 200);
        let job = read(
            &connection
                .send(&fixture(&format!("harbor-{version}-create.http"), &token))
                .await,
        );
        assert_eq!((job.id, job.state), (1, GoState::Pending));
        assert!(job.result.is_none(), "a pending job has no result");
        let poll = read(
            &connection
                .send(&fixture(&format!("harbor-{version}-poll.http"), &token))
                .await,
        );
        assert_eq!((poll.id, poll.state), (1, GoState::Pending));
        assert_eq!(poll.created_at, job.created_at);
    }
}

#[tokio::test]
async fn a_job_ends_in_success_with_a_row_for_every_object() {
    let (_job, seed, mut connection, token) = a_job_on_a_seed().await;
    let lots = seed.take().await;
    let pending = read(&connection.send(&fixture("harbor-2.15-poll.http", &token)).await);
    assert_eq!(pending.state, GoState::Pending);
    seed.settle(&lots, |_| verified()).await;

    let job = read(&connection.send(&fixture("harbor-2.15-poll.http", &token)).await);
    assert_eq!(job.state, GoState::Success);
    assert_eq!(job.errors(), [""]);
    assert_eq!(job.tasks(false).len(), 0);
    let rows = job.tasks(true);
    assert_eq!(rows.len(), OBJECTS);
    for row in &rows {
        assert!(
            row.url.starts_with("http://") && row.url.contains("/v2/hb6b016998-private/app/"),
            "{row:?}"
        );
        assert!(row.url.contains("sha256:"), "{row:?}");
        assert_eq!(
            (row.hostname.as_str(), row.ip.as_str()),
            (seed.name.as_str(), "127.0.0.1")
        );
    }
    let clusters = &job.result.as_ref().expect("a result").job_states[0].results;
    assert_eq!(
        clusters
            .iter()
            .map(|one| one.scheduler_cluster_id)
            .collect::<Vec<_>>(),
        [1]
    );
}

#[tokio::test]
async fn a_failed_job_has_its_reason_where_harbor_shows_it() {
    let (_job, seed, mut connection, token) = a_job_on_a_seed().await;
    let disk_full = || PlacementOutcome::Failed {
        reason: DISK_FULL.to_owned(),
        side: Side::Peer,
    };
    let lots = seed.take().await;
    seed.settle(&lots, |n| if n == 0 { disk_full() } else { verified() })
        .await;

    let job = read(&connection.send(&fixture("harbor-2.15-poll.http", &token)).await);
    assert_eq!(job.state, GoState::Failure);
    let [error] = job.errors()[..] else {
        panic!("{:?}", job.errors())
    };
    assert!(
        error.contains(DISK_FULL) && error.contains("side: peer"),
        "{error}"
    );
    assert_eq!((job.tasks(false).len(), job.tasks(true).len()), (1, OBJECTS - 1));
    assert!(job.tasks(false)[0].description.contains("disk"), "{job:?}");
}

#[tokio::test]
async fn a_registry_that_refuses_ends_the_job_as_a_readable_failure() {
    let registry = registry::start("Bearer another").await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let token = world.token([Scope::Preheat]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    read(&connection.send(&fixture("harbor-2.12-create.http", &token)).await);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let job = loop {
        let job = read(&connection.send(&fixture("harbor-2.12-poll.http", &token)).await);
        if job.state != GoState::Pending {
            break job;
        }
        assert!(tokio::time::Instant::now() < deadline, "still pending");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(job.state, GoState::Failure);
    assert!(
        job.errors()[0].contains("403") && job.errors()[0].contains("side: caller"),
        "{:?}",
        job.errors()
    );
    assert!(
        registry
            .image
            .asked
            .lock()
            .expect("not poisoned")
            .iter()
            .any(Option::is_some)
    );
}

#[tokio::test]
async fn clusters_that_do_not_exist_are_named_and_nothing_is_stored() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    let answer = connection
        .send(&fixture("harbor-2.15-create-for-clusters.http", &token))
        .await;
    assert_eq!(answer.status, 422);
    insta::assert_snapshot!(answer.text(), @r#"{"type":"urn:stoker:problem:invalid","title":"The request is invalid","status":422,"detail":"there is no cluster 2; there are: default (1)."}"#);
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn clusters_that_exist_are_taken() {
    let world = World::start().await;
    for cluster in ["default", "edge"] {
        world.join_token(wire::Role::Seed, cluster).await;
    }
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    let job = read(
        &connection
            .send(&fixture("harbor-2.15-create-for-clusters.http", &token))
            .await,
    );
    let view = world
        .get(&format!("/api/v1/preheats/{}", job.id), &token)
        .await
        .json();
    assert_eq!(
        (&view["scope"], &view["clusters"]),
        (&"all_peers".into(), &serde_json::json!(["1", "2"]))
    );
}

#[tokio::test]
async fn a_poll_of_an_unknown_job_is_a_404() {
    let world = World::start().await;
    let token = world.token([Scope::Read]).await.text;
    for id in ["7", "0", "-1", "x", "99999999999999999999"] {
        world
            .get(&format!("/oapi/v1/jobs/{id}"), &token)
            .await
            .problem(404);
    }
}

/// What has to stay while a job goes on.
struct Job {
    _world: World,
    _registry: RegistryAt,
}

/// A job from Harbor 2.15, resolved at the registry with Harbor's own token, and a seed that will get it.
async fn a_job_on_a_seed() -> (Job, FakeSeed, RawConnection, String) {
    let registry = registry::start(&registry_token(&fixture("harbor-2.15-create.http", ""))).await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = FakeSeed::join(&world, "seed-1").await;
    let token = world.token([Scope::Preheat]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    read(&connection.send(&fixture("harbor-2.15-create.http", &token)).await);
    (
        Job {
            _world: world,
            _registry: registry,
        },
        seed,
        connection,
        token,
    )
}
