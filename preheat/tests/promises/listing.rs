use preheat::{ListQuery, PreheatRequest, PreheatState, Requester, Scope};

use crate::support::World;

async fn ids(world: &World, query: ListQuery) -> Vec<i64> {
    let limit = if query.limit == 0 { 100 } else { query.limit };
    let query = ListQuery { limit, ..query };
    let listed = preheat::list(&world.preheater, query).await.unwrap();
    listed.into_iter().map(|view| view.id).collect()
}

fn of_image(image: &str, asked_by: Requester) -> PreheatRequest {
    PreheatRequest::new(image.parse().unwrap(), asked_by)
}

async fn some(world: &World) {
    let images = [
        ("harbor.example.com/Library/nginx:1.27", Requester::Harbor),
        ("harbor.example.com/library/redis:100%", Requester::Api),
        ("docker.io/library/nginx:latest", Requester::Api),
        ("registry.example.com/team_a/app:v1", Requester::Api),
    ];
    for (n, (image, origin)) in images.into_iter().enumerate() {
        let image = image.replace("Library", "library").replace("100%", "100");
        let token = format!("token-{}", n % 2);
        preheat::submit(&world.preheater, Some(&token), of_image(&image, origin), None)
            .await
            .unwrap();
        world.clock.advance(1_000);
    }
}

#[tokio::test]
async fn preheats_are_listed_by_what_they_are() {
    let mut world = World::start().await;
    world.idle().await;
    some(&world).await;
    let all = ListQuery::default();
    assert_eq!(ids(&world, all.clone()).await, [4, 3, 2, 1]);
    let image = |image: &str| ListQuery {
        image: Some(image.to_owned()),
        ..ListQuery::default()
    };
    assert_eq!(
        ids(&world, image("NGINX")).await,
        [3, 1],
        "capitals do not matter"
    );
    assert_eq!(ids(&world, image("library/redis")).await, [2]);
    let registry = |name: &str| ListQuery {
        registry: Some(name.to_owned()),
        ..ListQuery::default()
    };
    assert_eq!(ids(&world, registry("harbor.example.com")).await, [2, 1]);
    assert_eq!(
        ids(&world, registry("index.docker.io")).await,
        [3],
        "an alias is the same registry"
    );
    let repository = Some("team_a/app".to_owned());
    let repository = ListQuery {
        repository,
        ..all.clone()
    };
    assert_eq!(ids(&world, repository).await, [4]);
    let asked_by = Some("harbor".to_owned());
    assert_eq!(
        ids(
            &world,
            ListQuery {
                asked_by,
                ..all.clone()
            }
        )
        .await,
        [1]
    );
    let created_by = Some("token-1".to_owned());
    assert_eq!(
        ids(
            &world,
            ListQuery {
                created_by,
                ..all.clone()
            }
        )
        .await,
        [4, 2]
    );
    let since_ms = Some(crate::support::START_MS + 2_000);
    assert_eq!(ids(&world, ListQuery { since_ms, ..all }).await, [4, 3]);
}

#[tokio::test]
async fn letters_of_patterns_mean_themselves() {
    let mut world = World::start().await;
    world.idle().await;
    some(&world).await;
    for (part, found) in [
        ("%", vec![]),
        ("team_a", vec![4]),
        ("team-a", vec![]),
        ("!", vec![]),
        ("h_rbor", vec![]),
    ] {
        let query = ListQuery {
            image: Some(part.to_owned()),
            ..ListQuery::default()
        };
        assert_eq!(ids(&world, query).await, found, "{part}");
    }
}

#[tokio::test]
async fn preheats_are_listed_by_state_in_pages_that_stay() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    for _ in 0..3 {
        world.submit("missing", Scope::SingleSeedPeer).await;
    }
    let good = world.submit("v1", Scope::SingleSeedPeer).await;
    seed.verify_all(&seed.take().await).await;
    for id in 1..=3 {
        world.until_state(id, PreheatState::Failed).await;
    }
    let failed = |before| ListQuery {
        limit: 2,
        before,
        states: vec![PreheatState::Failed, PreheatState::Cancelled],
        ..ListQuery::default()
    };
    assert_eq!(ids(&world, failed(None)).await, [3, 2]);
    world.submit("missing", Scope::SingleSeedPeer).await;
    assert_eq!(
        ids(&world, failed(Some(2))).await,
        [1],
        "a newer one does not move the pages"
    );
    let states = vec![PreheatState::Succeeded];
    let query = ListQuery {
        states,
        ..ListQuery::default()
    };
    assert_eq!(ids(&world, query).await, [good]);
}
