//! Seeds whose bytes are not those that others hold.

use preheat::{Draw, PreheatState, Scope, SpotCheckVerdict, WebhookEvent};
use wire::SpotCheckOutcome;

use crate::rows::{count, execute};
use crate::support::{Peer, START_MS, World};
use crate::telling::{Receiver, world};

const DRAW: Draw = Draw {
    placement: 0,
    piece: 0,
    witness: 0,
};

/// Seeds that have verified an image and hold all of it. The first in the list is the one that [`DRAW`] checks.
async fn seeds(world: &World, count: usize) -> (i64, Vec<Peer>) {
    let mut seeds = Vec::new();
    for number in 0..count {
        seeds.push(world.seed(&format!("seed-{number}")).await);
    }
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::AllSeedPeers).await;
    let mut first = None;
    while world.view(id).await.state != PreheatState::Succeeded {
        for seed in &seeds {
            let lots = seed.try_take(50).await.unwrap().lots;
            if !lots.is_empty() {
                first.get_or_insert(seed.id);
            }
            seed.verify_all(&lots).await;
        }
    }
    let objects = preheat::objects(&world.preheater, id).await.unwrap();
    let digests: Vec<&str> = objects.iter().map(|object| object.digest.as_str()).collect();
    for seed in &seeds {
        seed.holds(&digests).await;
    }
    let first = checked_first(world, &seeds).await.or(first);
    seeds.sort_by_key(|seed| Some(seed.id) != first);
    (id, seeds)
}

/// The seed of the placement with the lowest number: the one that nobody asks.
async fn checked_first(world: &World, seeds: &[Peer]) -> Option<uuid::Uuid> {
    let look = "placements WHERE peer_id = '{}' AND id = (SELECT min(id) FROM placements)";
    for seed in seeds {
        if count(world, &look.replace("{}", &seed.id.to_string())).await == 1 {
            return Some(seed.id);
        }
    }
    None
}

async fn check(world: &World, draw: Draw) -> Option<SpotCheckVerdict> {
    world.preheater.spot_check(draw).await.unwrap()
}

async fn warning(world: &World, peer: &Peer) -> Option<String> {
    let peers = preheat::peers(&world.preheater).await.unwrap();
    let view = peers.into_iter().find(|view| view.id == peer.id);
    view.expect("listed").warning
}

#[tokio::test]
async fn a_seed_that_two_others_accuse_is_removed_and_its_preheats_are_told() {
    let receiver = Receiver::start(0).await;
    let world = world(&receiver, &[WebhookEvent::Doubted]).await;
    let (id, seeds) = seeds(&world, 3).await;
    let [liar, one, other] = seeds.as_slice() else {
        panic!("three seeds");
    };
    let checked = tokio::select! {
        checked = check(&world, DRAW) => checked,
        () = one.compares(SpotCheckOutcome::Different) => None,
        () = other.compares(SpotCheckOutcome::Different) => None,
    };
    assert_eq!(checked, Some(SpotCheckVerdict::Removed));
    assert!(preheat::is_removed(&world.preheater, liar.id).await.unwrap());
    let listed: Vec<_> = preheat::peers(&world.preheater).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(liar.try_take(0).await.is_err(), "its session has ended");
    let of_it = format!("holdings WHERE peer_id = '{}'", liar.id);
    assert_eq!(count(&world, &of_it).await, 0);
    assert_eq!(count(&world, "holdings").await, 6);
    let view = world.view(id).await;
    assert_eq!(view.state, PreheatState::Succeeded, "it ended as it ended");
    let [note] = view.notes.as_slice() else {
        panic!("{:?}", view.notes);
    };
    for name in [&liar.name, &one.name, &other.name] {
        assert!(note.contains(name.as_str()), "{note}");
    }
    receiver.until_calls(&world, 1).await;
    let (event, told) = receiver.told().remove(0);
    assert_eq!((event.as_str(), told["id"].as_i64()), ("doubted", Some(id)));
    let reason = "removals WHERE reason LIKE 'spot check: %'";
    assert_eq!(count(&world, reason).await, 1);
    // Those that are left hold the same: nobody is accused any more.
    let again = tokio::select! {
        checked = check(&world, DRAW) => checked,
        () = one.compares(SpotCheckOutcome::Equal) => None,
        () = other.compares(SpotCheckOutcome::Equal) => None,
    };
    assert_eq!(again, Some(SpotCheckVerdict::Sound));
}

#[tokio::test]
async fn one_accuser_removes_nobody_and_is_shown() {
    let world = World::start().await;
    let (id, seeds) = seeds(&world, 2).await;
    let checked = tokio::select! {
        checked = check(&world, DRAW) => checked,
        () = seeds[1].compares(SpotCheckOutcome::Different) => None,
    };
    assert_eq!(checked, Some(SpotCheckVerdict::Suspected));
    assert!(!preheat::is_removed(&world.preheater, seeds[0].id).await.unwrap());
    let warning = warning(&world, &seeds[0]).await.expect("a warning");
    assert!(warning.contains(&seeds[1].name), "{warning}");
    assert!(world.view(id).await.notes.is_empty());
}

#[tokio::test]
async fn an_accuser_whom_another_contradicts_removes_nobody() {
    let world = World::start().await;
    let (_, seeds) = seeds(&world, 3).await;
    // The first witness that is asked accuses the seed; the second one clears it.
    let (first, second) = if seeds[1].id < seeds[2].id {
        (&seeds[1], &seeds[2])
    } else {
        (&seeds[2], &seeds[1])
    };
    let checked = tokio::select! {
        checked = check(&world, DRAW) => checked,
        () = first.compares(SpotCheckOutcome::Different) => None,
        () = second.compares(SpotCheckOutcome::Equal) => None,
    };
    assert_eq!(checked, Some(SpotCheckVerdict::Contradicted));
    assert!(!preheat::is_removed(&world.preheater, seeds[0].id).await.unwrap());
    let warning = warning(&world, &seeds[0]).await.expect("a warning");
    assert!(
        warning.contains(&first.name) && warning.contains(&second.name),
        "{warning}"
    );
}

#[tokio::test]
async fn a_witness_with_a_damaged_copy_accuses_nobody_and_is_shown() {
    let world = World::start().await;
    let (_, seeds) = seeds(&world, 2).await;
    let checked = tokio::select! {
        checked = check(&world, DRAW) => checked,
        () = seeds[1].compares(SpotCheckOutcome::OwnDamaged) => None,
    };
    assert_eq!(checked, Some(SpotCheckVerdict::Unanswered));
    assert_eq!(warning(&world, &seeds[0]).await, None);
    let warning = warning(&world, &seeds[1]).await.expect("a warning");
    assert!(warning.contains("damaged"), "{warning}");
}

#[tokio::test]
async fn what_nobody_else_holds_is_not_checked() {
    let world = World::start().await;
    assert_eq!(check(&world, DRAW).await, None, "nothing was verified yet");
    let (_, seeds) = seeds(&world, 2).await;
    seeds[1].holds(&[]).await;
    assert_eq!(check(&world, DRAW).await, Some(SpotCheckVerdict::NoWitness));
    // A node of another cluster is no witness either.
    let objects = preheat::objects(&world.preheater, 1).await.unwrap();
    let stranger = world
        .peer("stranger", wire::Role::Node, "elsewhere", uuid::Uuid::new_v4())
        .await;
    let digests: Vec<&str> = objects.iter().map(|object| object.digest.as_str()).collect();
    stranger.holds(&digests).await;
    assert_eq!(check(&world, DRAW).await, Some(SpotCheckVerdict::NoWitness));
}

#[tokio::test]
async fn a_removal_that_is_refused_is_neither_noted_nor_reported() {
    let receiver = Receiver::start(0).await;
    let world = world(&receiver, &[WebhookEvent::Doubted]).await;
    let (id, seeds) = seeds(&world, 3).await;
    let [liar, one, other] = seeds.as_slice() else {
        panic!("three seeds");
    };
    fill_removal_list(&world).await;
    let checked = tokio::select! {
        checked = check(&world, DRAW) => checked,
        () = one.compares(SpotCheckOutcome::Different) => None,
        () = other.compares(SpotCheckOutcome::Different) => None,
    };
    assert_eq!(checked, Some(SpotCheckVerdict::Suspected));
    assert!(world.view(id).await.notes.is_empty());
    assert_eq!(count(&world, "work WHERE kind = 'tell'").await, 0);
    assert_eq!(receiver.told().len(), 0);
    assert!(warning(&world, liar).await.is_some());
    assert!(liar.try_take(0).await.is_ok(), "its session goes on");
}

async fn fill_removal_list(world: &World) {
    let full = wire::REMOVED_AT_MOST;
    let statement = format!(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {full}) \
         INSERT INTO removals (peer_id, removed_ms) \
         SELECT printf('00000000-0000-4000-8000-%012d', x), {START_MS} FROM n"
    );
    execute(world, &statement).await;
}
