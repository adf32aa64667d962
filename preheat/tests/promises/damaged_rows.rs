//! Rows with a value that no manager writes: an error that names the value, and the other rows are still read.

use preheat::{DamagedRow, LimitsError, ListQuery, PreheatState, Scope, StorageError};

use crate::rows::{execute, number};
use crate::support::World;

const JUNK: &str = "?!";

fn damaged<T>(read: Result<T, StorageError>) -> DamagedRow {
    match read {
        Err(StorageError::Damaged(row)) => row,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the damage was not noticed"),
    }
}

/// Damages the column while `read` runs, and returns what `read` returned.
async fn with_junk<T>(world: &World, table: &str, column: &str, read: impl Future<Output = T>) -> T {
    with_value(world, table, column, JUNK, read).await
}

async fn with_value<T>(
    world: &World,
    table: &str,
    column: &str,
    value: &str,
    read: impl Future<Output = T>,
) -> T {
    execute(world, "DROP TABLE IF EXISTS kept").await;
    execute(
        world,
        &format!("CREATE TABLE kept AS SELECT rowid AS r, {column} AS c FROM {table}"),
    )
    .await;
    execute(
        world,
        &format!("UPDATE {table} SET {column} = '{value}' WHERE rowid = (SELECT min(rowid) FROM {table})"),
    )
    .await;
    let done = read.await;
    execute(
        world,
        &format!("UPDATE {table} SET {column} = (SELECT c FROM kept WHERE r = {table}.rowid)"),
    )
    .await;
    done
}

#[tokio::test]
async fn a_damaged_preheat_is_an_error_that_names_it_and_other_preheats_are_listed() {
    let mut world = World::start().await;
    world.idle().await;
    let first = world.submit("v1", Scope::AllSeedPeers).await;
    let second = world.submit("v2", Scope::AllSeedPeers).await;
    let columns = [
        "scope",
        "clusters",
        "platforms",
        "state",
        "side",
        "asked_by",
        "peer_choice",
        "notes",
    ];
    for column in columns {
        let reads = Box::pin(async {
            let query = ListQuery {
                limit: 10,
                ..ListQuery::default()
            };
            let all = preheat::list(&world.preheater, query).await.unwrap();
            (preheat::get(&world.preheater, first).await, all)
        });
        let (one, all) = with_junk(&world, "preheats", column, reads).await;
        let expected = DamagedRow {
            table: "preheats",
            id: first.to_string(),
            column,
            value: JUNK.to_owned(),
        };
        assert_eq!(damaged(one), expected);
        let ids: Vec<i64> = all.iter().map(|view| view.id).collect();
        assert_eq!(ids, [second], "{column}");
    }
    assert!(preheat::get(&world.preheater, first).await.unwrap().is_some());
}

#[tokio::test]
async fn a_damaged_placement_or_object_is_an_error_that_names_it() {
    let world = World::start().await;
    let seed = world.seed("seed").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllSeedPeers).await;
    while world.view(id).await.state != PreheatState::Succeeded {
        let lots = seed.try_take(50).await.unwrap().lots;
        seed.verify_all(&lots).await;
    }
    for (table, column, value) in [
        ("placements", "state", JUNK),
        ("placements", "side", JUNK),
        ("placements", "peer_id", JUNK),
        ("objects", "class", "9"),
    ] {
        let objects = preheat::objects(&world.preheater, id);
        let row = damaged(with_value(&world, table, column, value, objects).await);
        assert_eq!(
            (row.table, row.column, row.value.as_str()),
            (table, column, value)
        );
    }
}

#[tokio::test]
async fn a_damaged_peer_is_left_out_of_the_list() {
    let world = World::start().await;
    world.seed("one").await;
    world.seed("two").await;
    let listed = with_junk(&world, "peers", "id", preheat::peers(&world.preheater)).await;
    assert_eq!(listed.unwrap().len(), 1);
    assert_eq!(preheat::peers(&world.preheater).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_preheat_whose_scope_is_damaged_fails_and_names_the_damage() {
    let mut world = World::start().await;
    world.idle().await;
    world.registry.image(Some("v1"), &["a"]);
    let damaged = world.submit("v1", Scope::AllSeedPeers).await;
    execute(
        &world,
        &format!("UPDATE preheats SET clusters = '{JUNK}' WHERE id = {damaged}"),
    )
    .await;
    let sound = world.submit("v1", Scope::AllSeedPeers).await;
    execute(&world, "UPDATE preheats SET no_seed_deadline_ms = 1").await;
    world.preheater.sweep().await.unwrap();
    let failed = "SELECT count(*) AS n FROM preheats WHERE state = 'failed'";
    assert_eq!(number(&world, failed).await, 2, "the sweep ended both");
    let named = format!(
        "SELECT count(*) AS n FROM preheats WHERE id = {damaged} AND side = 'manager' AND reason LIKE '%clusters%{JUNK}%'"
    );
    assert_eq!(number(&world, &named).await, 1);
    assert_eq!(world.view(sound).await.state, PreheatState::Failed);
}

#[tokio::test]
async fn damaged_limits_of_a_cluster_are_an_error_until_they_are_set_again() {
    let world = World::start().await;
    let seed = world.seed("seed").await;
    execute(&world, &format!("UPDATE clusters SET limits = '{JUNK}'")).await;
    let read = preheat::cluster_limits(&world.preheater, "default").await;
    let Err(LimitsError::Storage(StorageError::Damaged(row))) = read else {
        panic!("{read:?}")
    };
    assert_eq!(
        (row.table, row.column, row.value.as_str()),
        ("clusters", "limits", JUNK)
    );
    preheat::set_cluster_limits(&world.preheater, "default", None)
        .await
        .unwrap();
    assert!(seed.neighbourhood_version().await.is_ok());
}
