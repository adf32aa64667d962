use http::StatusCode;

use super::support::{FrontFixture, SignIn, basic};

const ANN: Option<(&str, &str)> = Some(("ann", "pw-ann"));

#[tokio::test]
async fn a_pull_with_a_relayed_token_succeeds() {
    let world = FrontFixture::new(SignIn::Bearer).await;
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
async fn a_new_token_finds_the_grants_of_its_account() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let first = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&first)).await, StatusCode::OK);
    let second = world.bearer("a", ANN).await.expect("another token");
    assert_ne!(first, second);
    let asked = world.registry.requests().len();
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&second)).await,
        StatusCode::OK
    );
    assert_eq!(
        world.registry.requests().len(),
        asked,
        "nothing had to be asked again"
    );
}

#[tokio::test]
async fn a_second_pull_succeeds_while_registry_and_token_server_are_unreachable() {
    let mut world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    world.stop_registry().await;
    world.restart_front().await;
    // The last challenge is repeated to callers without a credential.
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
async fn a_repeated_challenge_names_the_requested_repository() {
    let world = FrontFixture::new(SignIn::Bearer).await;
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
    let world = FrontFixture::new(SignIn::Bearer).await;
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
    let world = FrontFixture::new(SignIn::Bearer).await;
    let registry = format!("http://{}", world.registry_name);
    let realm = format!("{registry}/token");
    let ask_for = |registry: &str, realm: &str| {
        let request = world
            .request(http::Method::GET, "/stoker/token")
            .query(&[("registry", registry), ("realm", realm)]);
        request.header("authorization", basic("ann", "pw-ann"))
    };
    let ask = |realm: &str| ask_for(&registry, realm);
    assert_eq!(
        world.send(ask(&realm)).await.status,
        StatusCode::NOT_FOUND,
        "not seen yet"
    );
    assert!(world.registry.requests().is_empty());
    world.registry.push("a", "layer of a");
    world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.send(ask(&realm)).await.status, StatusCode::OK);
    assert_eq!(
        world.send(ask("http://127.0.0.1:1/token")).await.status,
        StatusCode::NOT_FOUND
    );
    world
        .bearer_at(&world.other_name, "a", None)
        .await
        .expect("a token of another registry");
    for other in [format!("http://{}", world.other_name), "junk".to_owned()] {
        let asked = ask_for(&other, &realm);
        assert_eq!(
            world.send(asked).await.status,
            StatusCode::NOT_FOUND,
            "{other} has not named it"
        );
    }
}

/// The registry that a token was issued for.
const OF_THE_ATTACKER: &str = "token-of-the-attacker";

#[tokio::test]
async fn a_token_of_another_token_server_finds_no_grants() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    world.other.gives(serde_json::json!({ "token": OF_THE_ATTACKER }));
    let theirs = world.bearer_at(&world.other_name, "a", ANN).await;
    let theirs = theirs.expect("a token of the attacker's own");
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&theirs)).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
}

#[tokio::test]
async fn a_token_server_cannot_make_the_token_of_another_account_anonymous() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("b", "layer of b");
    let token = world.bearer("b", Some(("bob", "pw-bob"))).await.expect("a token");
    let its_own = token.strip_prefix("Bearer ").expect("a token");
    world.other.gives(serde_json::json!({ "token": its_own }));
    let nobodys = world.bearer_at(&world.other_name, "b", None).await;
    assert_eq!(nobodys.as_ref(), Ok(&token));
    assert_eq!(world.pull("b", &image, Some(&token)).await, StatusCode::OK);
    assert_eq!(
        world.pull_by_digest("b", &image, None).await,
        StatusCode::UNAUTHORIZED,
        "the yes is bob's"
    );
}

#[tokio::test]
async fn a_refresh_token_of_another_token_server_names_no_account() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    let theirs = serde_json::json!({ "token": OF_THE_ATTACKER, "refresh_token": OF_THE_ATTACKER });
    world.other.gives(theirs);
    world
        .bearer_at(&world.other_name, "a", ANN)
        .await
        .expect("tokens of the attacker's own");
    let challenged = world.head("/v2/a/manifests/v1", None).await;
    let refreshed = [
        ("grant_type", "refresh_token"),
        ("refresh_token", OF_THE_ATTACKER),
        ("service", "fake"),
    ];
    let refreshed = world.exchange(challenged.challenge(), &refreshed).await;
    let refreshed = refreshed.expect("what the true token server gives to anybody");
    assert_ne!(
        world.pull_by_digest("a", &image, Some(&refreshed)).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_token_of_our_own_counts_only_at_the_registry_that_it_was_made_for() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let bait = world.other.push("a", "the attacker's layer");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    let theirs = world
        .bearer_at(&world.other_name, "a", ANN)
        .await
        .expect("a token");
    let path = format!("/v2/a/blobs/{}", bait.layer);
    let request = world
        .request_at(&world.other_name, http::Method::GET, &path)
        .header("authorization", &theirs);
    assert_eq!(world.send(request).await.status, StatusCode::OK);
    world.stop_registry().await;
    let challenged = world
        .send(world.request_at(&world.other_name, http::Method::GET, &path))
        .await;
    let local = world.sign_in(challenged.challenge(), ANN).await;
    let local = local.expect("a token of the peer's own");
    assert!(local.contains("stoker-local."));
    assert_ne!(
        world.pull_by_digest("a", &image, Some(&local)).await,
        StatusCode::OK
    );
    let own = world.bearer("a", ANN).await.expect("a token of the peer's own");
    assert_eq!(
        world.pull_by_digest("a", &image, Some(&own)).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_token_for_another_service_stands_for_no_account() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let token = world.bearer("a", ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    let challenged = world.head("/v2/a/manifests/v1", None).await;
    for services in [&["elsewhere"][..], &["fake", "elsewhere"], &[]] {
        let mut form = vec![
            ("grant_type", "password"),
            ("username", "ann"),
            ("password", "pw-ann"),
        ];
        form.extend(services.iter().map(|service| ("service", *service)));
        let token = world
            .exchange(challenged.challenge(), &form)
            .await
            .expect("a token");
        let asked = world.registry.requests().len();
        assert_eq!(
            world.pull_by_digest("a", &image, Some(&token)).await,
            StatusCode::OK
        );
        assert!(
            world.registry.requests().len() > asked,
            "{services:?}: the registry decides"
        );
    }
}

#[tokio::test]
async fn a_guessed_password_ends_no_grants_of_other_callers() {
    let world = FrontFixture::new(SignIn::Bearer).await;
    let image = world.registry.push("a", "layer of a");
    let challenged = world.head("/v2/a/manifests/v1", None).await;
    let token = world.sign_in(challenged.challenge(), ANN).await.expect("a token");
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
    let registry = format!("http://{}", world.registry_name);
    let realm = format!("{registry}/token");
    let refused = world
        .request(http::Method::GET, "/stoker/token")
        .query(&[("registry", &registry), ("realm", &realm)])
        .header("authorization", basic("ann", "guessed"));
    assert_eq!(world.send(refused).await.status, StatusCode::UNAUTHORIZED);
    world.stop_registry().await;
    assert_eq!(world.pull("a", &image, Some(&token)).await, StatusCode::OK);
}
