//! A manager's database of an older version.

use api::tokens::Scope;
use oci::{Credential, RegistrySettings, Secret};
use sea_orm_migration::MigratorTrait as _;
use sea_orm_migration::prelude::ConnectionTrait as _;
use serde_json::json;
use tempfile::TempDir;

use crate::registry;
use crate::seed::{FakeSeed, verified};
use crate::world::{START_MS, World, database_in};

/// The steps of the version before peers had certificates.
const STEPS_BEFORE_CERTIFICATES: u32 = 9;
const OLD_SEED: &str = "02958c05-2029-492a-8cfc-57ac0ac2fb0d";

/// A seed of that version has said hello and holds a layer, and the manager was stopped then.
async fn folder_with_an_old_seed() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let db = database_in(folder.path()).await;
    let connection = db.connection_for_migrations();
    let older = migrations::Migrator::up(connection, Some(STEPS_BEFORE_CERTIFICATES));
    older.await.expect("migrated");
    for statement in [
        format!(
            "INSERT INTO peers (id, name, cluster_id, seed, share_url, address, software, session, last_seen_ms) VALUES \
             ('{OLD_SEED}', 'old', 1, 1, 'http://10.0.0.7:65002', '10.0.0.7', 'stoker/0.1.0', \
             'c2c7a9de-6a0e-4d54-9f3b-0f3f1f0e6a11', {START_MS})"
        ),
        format!("INSERT INTO holdings (peer_id, digest, size) VALUES ('{OLD_SEED}', 'sha256:00', 5)"),
    ] {
        connection.execute_unprepared(&statement).await.expect("written");
    }
    folder
}

#[tokio::test]
async fn nobody_waits_for_a_peer_of_the_version_without_certificates() {
    let registry = registry::start("Basic cm9ib3Q6cm9ib3QtcHc=").await;
    let settings = RegistrySettings {
        credential: Credential::Basic {
            username: "robot".into(),
            password: Secret::new("robot-pw"),
        },
        ..registry.settings.clone()
    };
    let world = World::in_folder(folder_with_an_old_seed().await, vec![settings]).await;
    world.start_workers();
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let peers = world.get("/api/v1/peers", &token).await.json();
    let old = &peers["peers"][0];
    assert_eq!(
        (&old["id"], &old["alive"], &old["holdings"]),
        (&json!(OLD_SEED), &json!(false), &json!(0))
    );
    let seed = FakeSeed::join(&world, "new").await;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    let body = json!({"image": image, "scope": "all_seed_peers"});
    let made = world.post("/api/v1/preheats", &token, &body).await;
    assert_eq!(made.status, 202, "{}", made.text);
    seed.settle(&seed.take().await, |_| verified()).await;
    let path = format!("/api/v1/preheats/{}", made.json()["id"]);
    let view = world.get(&path, &token).await.json();
    assert_eq!(view["state"], json!("succeeded"), "{view}");
}
