//! Why an image is on a node or not: what is asked, who may ask, and what a peer may answer.

use api::AuthMode;
use api::tokens::Scope;
use serde_json::{Value, json};
use uuid::Uuid;
use wire::{CallError, ObjectStatus, Question, Reply, StandingState, TakeRequest};

use crate::registry;
use crate::seed::FakeSeed;
use crate::world::{Answer, World};

/// The next question, which must come.
async fn question(seed: &FakeSeed) -> Question {
    let mut version = seed.welcome.neighbourhood.version.clone();
    for _ in 0..100 {
        let request = TakeRequest {
            at_most: 0,
            wait_ms: 500,
            neighbourhood_version: version.clone(),
            working_on: Vec::new(),
            images: None,
            removals: 0,
        };
        let answer = seed.manager.take(seed.welcome.session, &request).await;
        let mut answer = answer.expect("an answer");
        if let Some(question) = answer.questions.pop() {
            return question;
        }
        version = answer.neighbourhood.map_or(version, |around| around.version);
    }
    panic!("no question came");
}

async fn join(world: &World) -> FakeSeed {
    FakeSeed::join(world, "seed-1").await
}

#[tokio::test]
async fn the_node_is_asked_and_its_word_is_in_the_answer() {
    let registry = registry::start("Basic YW5uOnMzY3JldA==").await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    let seed = join(&world).await;
    let token = world.token([Scope::Read]).await.text;
    let path = format!(
        "/api/v1/explain?image=http://{}/library/app:v1&node=seed",
        registry.settings.name
    );
    let answered = async {
        let question = question(&seed).await;
        assert!(
            question.location.ends_with("/v2/library/app"),
            "{}",
            question.location
        );
        let reply = Reply {
            objects: vec![ObjectStatus {
                digest: "sha256:ab".to_owned(),
                state: StandingState::Absent,
            }],
            ..Reply::default()
        };
        let answer = seed.manager.answer(seed.welcome.session, question.id, &reply);
        answer.await.expect("204");
        let again = seed
            .manager
            .answer(seed.welcome.session, question.id, &reply)
            .await;
        assert!(matches!(again, Err(CallError::Gone)), "{again:?}");
    };
    let (explained, ()) = tokio::join!(world.get(&path, &token), answered);
    assert_eq!(explained.status, 200, "{}", explained.text);
    let explained = explained.json();
    assert_eq!(explained["verdict"], "never_preheated", "{explained}");
    assert_eq!(explained["findings"][0]["verdict"], explained["verdict"]);
    assert_eq!(explained["node"]["answers"], true);
    assert_eq!(
        explained["registry"]["state"], "refuses",
        "the request brings no credential"
    );
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_404_and_one_of_an_ended_session_410() {
    let world = World::start().await;
    let seed = join(&world).await;
    let late = seed
        .manager
        .answer(seed.welcome.session, Uuid::new_v4(), &Reply::default())
        .await;
    assert!(matches!(late, Err(CallError::Gone)), "{late:?}");
    let ended = seed
        .manager
        .answer(Uuid::new_v4(), Uuid::new_v4(), &Reply::default())
        .await;
    assert!(matches!(ended, Err(CallError::SessionEnded)), "{ended:?}");
}

#[tokio::test]
async fn only_readers_are_told() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    for path in ["/api/v1/explain?image=a&node=b", "/api/v1/images/where?image=a"] {
        assert!(world.get(path, &token).await.problem(403).contains("`read`"));
        let nobody = Answer::of(world.http.get(world.url(path))).await;
        nobody.problem(401);
    }
}

#[tokio::test]
async fn what_cannot_be_answered_says_what_to_write() {
    let world = World::start().await;
    let token = world.token([Scope::Read]).await.text;
    let told = async |path: &str, status: u16| world.get(path, &token).await.problem(status);
    assert!(
        told("/api/v1/explain?image=h.example/a:1", 400)
            .await
            .contains("node")
    );
    assert!(
        told("/api/v1/explain?image=A%20B&node=x", 422)
            .await
            .contains("`image`")
    );
    assert!(told("/api/v1/images/where?image=", 422).await.contains("`image`"));
    told("/api/v1/explain?image=h.example/a:1&node=x", 404).await;
    let _seed = join(&world).await;
    let near = told("/api/v1/explain?image=h.example/a:1&node=sead-1", 404).await;
    assert!(near.contains("sead-1") && near.contains("seed-1"), "{near}");
    told("/api/v1/images/where?image=h.example/a:1", 404).await;
}

#[tokio::test]
async fn where_an_image_is_stands_in_the_answer() {
    let registry = registry::start("Basic YW5uOnMzY3JldA==").await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = join(&world).await;
    let token = world.token([Scope::Preheat, Scope::Read]).await.text;
    let image = format!("http://{}/library/app:v1", registry.settings.name);
    let body = json!({"image": image, "credential": {"username": "ann", "password": "s3cret"}});
    assert_eq!(world.post("/api/v1/preheats", &token, &body).await.status, 202);
    let lots = seed.take().await;
    seed.settle(&lots, |_| crate::seed::verified()).await;
    let path = format!("/api/v1/images/where?image={image}");
    let found: Value = world.get(&path, &token).await.json();
    assert_eq!(
        (&found["preheat"], &found["objects"]),
        (&json!(1), &json!(3)),
        "{found}"
    );
    assert_eq!(
        (&found["peers"], &found["peers_without"]),
        (&json!([]), &json!(1))
    );
}
