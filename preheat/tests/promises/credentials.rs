use oci::{Credential, Secret};
use preheat::{PreheatState, Scope};
use wire::Side;

use crate::support::World;

const PLANTED: &str = "Bearer planted-s3cret-value";

/// Everything that lies in the database's folder.
fn on_disk(world: &World) -> Vec<u8> {
    let files = std::fs::read_dir(world.dir.path()).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn contains(hay: &[u8], needle: &str) -> bool {
    hay.windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

fn planted(world: &World) -> preheat::PreheatRequest {
    let mut request = world.request("v1", Scope::SingleSeedPeer);
    request.credential = Some(Credential::from_authorization(PLANTED));
    request
}

#[tokio::test]
async fn credentials_are_sealed_and_gone_when_the_preheat_ends() {
    use base64::Engine as _;
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    world.registry.open_only_to(PLANTED);
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit_request(planted(&world)).await;
    let lots = seed.take().await;
    assert!(lots[0].public.is_none(), "nobody reads it without a credential");
    let name = lots[0].credential.clone().unwrap();
    let given = preheat::credential(&world.preheater, seed.session(), &name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(given.expose(), PLANTED);
    let other = world.seed("seed-2").await;
    let refused = preheat::credential(&world.preheater, other.session(), &name)
        .await
        .unwrap();
    assert!(
        refused.is_none(),
        "only who works for the preheat gets its credential"
    );
    let disk = on_disk(&world);
    assert!(contains(&disk, &name), "the search itself works");
    let base64 = base64::engine::general_purpose::STANDARD.encode("planted-s3cret-value");
    for secret in ["planted-s3cret", &base64[..20]] {
        assert!(!contains(&disk, secret), "{secret}");
    }
    seed.verify_all(&lots).await;
    assert_eq!(world.view(id).await.state, PreheatState::Succeeded);
    let gone = preheat::credential(&world.preheater, seed.session(), &name)
        .await
        .unwrap();
    assert!(gone.is_none());
}

#[tokio::test]
async fn a_refused_credential_gives_way_to_the_configured_one() {
    let world = World::start().await;
    let seed = world.seed("seed-1").await;
    let node = world.node("node-1").await;
    let configured = Credential::Basic {
        username: "robot".into(),
        password: Secret::new("pull"),
    };
    let header = configured.authorization().unwrap().expose().to_owned();
    world.registry.open_only_to(&header);
    world.registry.image(Some("v1"), &["a"]);
    world.configure(configured);
    world.submit_request(planted(&world)).await;
    let lots = seed.take().await;
    let name = lots[0].credential.clone().unwrap();
    let given = preheat::credential(&world.preheater, seed.session(), &name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(given.expose(), header);
    let to_a_node = preheat::credential(&world.preheater, node.session(), &name)
        .await
        .unwrap();
    assert!(to_a_node.is_none(), "nodes get no credential of the registry");
}

#[tokio::test]
async fn a_request_that_says_http_does_not_make_us_send_a_configured_password_in_clear() {
    let world = World::start().await;
    world.seed("seed-1").await;
    let configured = Credential::Basic {
        username: "robot".into(),
        password: Secret::new("pull"),
    };
    world
        .registry
        .open_only_to(configured.authorization().unwrap().expose());
    world.registry.image(Some("v1"), &["a"]);
    world.configure_with(configured, false);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    let view = world.until_state(id, PreheatState::Failed).await;
    assert_eq!(view.side, Some(Side::Caller));
    assert!(world.registry.asked() > 0, "the registry was asked");
    assert_eq!(world.registry.authorizations(), Vec::<String>::new());
}

#[tokio::test]
async fn an_expired_credential_without_another_one_fails_on_the_callers_side() {
    let world = World::start().await;
    world.seed("seed-1").await;
    world.registry.open_only_to("Bearer another");
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit_request(planted(&world)).await;
    let view = world.until_state(id, PreheatState::Failed).await;
    assert_eq!(view.side, Some(Side::Caller));
    let reason = view.reason.unwrap();
    insta::assert_snapshot!(world.without_host(&reason), @"REGISTRY: manifest v1 of team/app refused, its credential has expired: HTTP 401 ({}); send a new credential, or configure one for this registry that does not expire");
    assert!(!reason.contains("planted"), "{reason}");
}
