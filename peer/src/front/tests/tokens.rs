use http::StatusCode;

use super::support::{SignIn, World, basic};

const ANN: Option<(&str, &str)> = Some(("ann", "pw-ann"));

#[tokio::test]
async fn a_relayed_token_pulls() {
    let world = World::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    assert_eq!(
        world.bearer("a", Some(("ann", "guessed"))).await,
        Err(StatusCode::UNAUTHORIZED)
    );
    let bob = world
        .bearer("a", Some(("bob", "pw-bob")))
        .await
        .expect("a token for what bob may read");
    assert_eq!(
        world.pull("a", &image, Some(&bob)).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.pull("a", &image, Some("Bearer made-up")).await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_fresh_token_of_the_same_account_finds_its_yes() {
    let world = World::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let first = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&first)).await, StatusCode::OK);
    let second = world.bearer("a", ANN).await.expect("another token");
    assert_ne!(first, second);
    let asked = world.registry.asked().len();
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&second)).await,
        StatusCode::OK
    );
    assert_eq!(
        world.registry.asked().len(),
        asked,
        "nothing had to be asked again"
    );
}

#[tokio::test]
async fn a_second_pull_succeeds_while_registry_and_token_server_are_unreachable() {
    let mut world = World::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    world.stop_registry().await;
    world.restart_front().await;
    // The last challenge is repeated, for whoever comes without a credential.
    let local = world.bearer("a", ANN).await.expect("a token of the peer's own");
    assert_eq!(world.pull("a", &image, Some(&local)).await, StatusCode::OK);
    assert_eq!(
        world.bearer("a", Some(("ann", "guessed"))).await,
        Err(StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(
        world.bearer("a", Some(("bob", "pw-bob"))).await,
        Err(StatusCode::SERVICE_UNAVAILABLE)
    );
    let nobody = world.bearer("a", None).await.expect("an anonymous token");
    assert_eq!(
        world.pull("a", &image, Some(&nobody)).await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let unknown = world
        .head("/v2/a/manifests/v1", Some("Bearer stoker-local.from-before"))
        .await;
    assert_eq!(
        unknown.status,
        StatusCode::UNAUTHORIZED,
        "whoever has an old one is asked for another"
    );
}

#[tokio::test]
async fn a_repeated_challenge_is_for_the_repository_that_is_asked_for() {
    let world = World::new(SignIn::Bearer).await;
    world.registry.push("a", "layer of a");
    let image = world.registry.push("open", "open layer");
    let token = world.bearer("open", None).await.expect("a token");
    assert_eq!(world.pull("open", &image, Some(&token)).await, StatusCode::OK);
    world.stop_registry().await;
    let blob = world.get(&format!("/v2/a/blobs/{}", image.layer), None).await;
    assert_eq!(blob.status, StatusCode::UNAUTHORIZED);
    assert!(
        blob.challenge().contains("repository:a:pull"),
        "{}",
        blob.challenge()
    );
    assert_eq!(
        world.pull("open", &image, None).await,
        StatusCode::OK,
        "anonymous has its own yes"
    );
}

#[tokio::test]
async fn a_token_of_our_own_is_never_sent_to_a_registry() {
    let world = World::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let path = format!("/v2/a/blobs/{}", image.layer);
    for authorization in ["Bearer stoker-local.abc", "bearer  stoker-local.abc"] {
        let got = world.get(&path, Some(authorization)).await;
        assert_eq!(
            got.status,
            StatusCode::UNAUTHORIZED,
            "the registry answers, so a real token is needed"
        );
    }
    let challenged = world.get(&path, None).await;
    let token = world.sign_in(challenged.challenge(), ANN).await.expect("a token");
    assert_eq!(world.get(&path, Some(&token)).await.status, StatusCode::OK);
    let shown = world.registry.authorizations();
    assert!(
        !shown.iter().any(|value| value.contains("stoker-local")),
        "{shown:?}"
    );
}

#[tokio::test]
async fn only_token_servers_that_a_challenge_named_are_called() {
    let world = World::new(SignIn::Bearer).await;
    let realm = format!("http://{}/token", world.registry_name);
    let ask = |realm: &str| {
        let request = world
            .request(http::Method::GET, "/stoker/token")
            .query(&[("realm", realm)]);
        request.header("authorization", basic("ann", "pw-ann"))
    };
    assert_eq!(
        world.send(ask(&realm)).await.status,
        StatusCode::NOT_FOUND,
        "not seen yet"
    );
    assert!(world.registry.asked().is_empty());
    world.registry.push("a", "layer of a");
    world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.send(ask(&realm)).await.status, StatusCode::OK);
    assert_eq!(
        world.send(ask("http://127.0.0.1:1/token")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_guessed_password_ends_nobody_else_s_yes() {
    let world = World::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let challenged = world.head("/v2/a/manifests/v1", None).await;
    let token = world.sign_in(challenged.challenge(), ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    let realm = format!("http://{}/token", world.registry_name);
    let refused = world
        .request(http::Method::GET, "/stoker/token")
        .query(&[("realm", realm.as_str())])
        .header("authorization", basic("ann", "guessed"));
    assert_eq!(world.send(refused).await.status, StatusCode::UNAUTHORIZED);
    world.stop_registry().await;
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
}
