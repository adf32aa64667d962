//! What Harbor's provider "Kraken" and docker-registry tell of pushes, byte for byte, and what comes of it.

use api::tokens::Scope;
use api::triggers::{Rule, Rules, Wish};
use api::{AuthMode, RouteSettings};
use oci::RegistrySettings;
use preheat::PeerChoice;
use process::metrics::{Format, Metrics};
use reqwest::Method;
use serde_json::{Value, json};

use crate::raw::{RawConnection, fixture};
use crate::registry;
use crate::world::{Answer, World};

const DOOR: &str = "/registry/notifications";
const DIGEST: &str = "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf";

/// Everything of this registry goes to half of all peers.
pub(crate) fn route_settings(registry: &str) -> RouteSettings {
    let glob = |text: &str| text.parse().expect(text);
    RouteSettings {
        rules: Rules::new(vec![Rule {
            registry: glob(registry),
            repository: glob("**"),
            tag: glob("v*"),
            wish: Wish {
                scope: preheat::Scope::AllPeers,
                peers: PeerChoice::Percent(50),
                platforms: vec!["linux/amd64".parse().expect("a platform")],
                ..Wish::default()
            },
        }]),
        ..RouteSettings::default()
    }
}

async fn world(registry: &str) -> World {
    World::with_route_settings(AuthMode::Tokens, Vec::new(), route_settings(registry)).await
}

/// As docker-registry 2.8 sends a manifest that was pushed under a tag.
fn manifest(id: &str, tag: &str) -> Value {
    json!({
        "id": id, "timestamp": "2026-11-21T14:44:26.402973972Z", "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 708, "digest": DIGEST,
            "length": 708, "repository": "library/app",
            "url": format!("http://registry.lan:5000/v2/library/app/manifests/{DIGEST}"), "tag": tag
        },
        "request": {"id": "6df24a34", "addr": "10.0.0.9:1", "host": "registry.lan:5000", "method": "PUT", "useragent": "skopeo"},
        "actor": {}, "source": {"addr": "registry:5000", "instanceID": "a53db899"}
    })
}

fn blob() -> Value {
    json!({
        "id": "11111111-ca14-430f-8bb6-4ca139cd83f7", "action": "push",
        "target": {
            "mediaType": "application/octet-stream", "digest": DIGEST, "repository": "library/app",
            "url": format!("http://registry.lan:5000/v2/library/app/blobs/{DIGEST}")
        }
    })
}

/// With the registry's own media type.
async fn tell(world: &World, token: &str, body: String) -> Answer {
    let request = world
        .ask(Method::POST, DOOR, token)
        .header(
            "content-type",
            "application/vnd.docker.distribution.events.v1+json",
        )
        .body(body);
    Answer::of(request).await
}

async fn view(world: &World, id: i64) -> Value {
    let reader = world.token([Scope::Read]).await.text;
    world.get(&format!("/api/v1/preheats/{id}"), &reader).await.json()
}

#[tokio::test]
async fn what_kraken_sends_becomes_a_preheat_with_the_configured_credential() {
    for version in ["2.15", "2.11"] {
        let world = World::start().await;
        let token = if version == "2.15" {
            world.token([Scope::Preheat]).await.text
        } else {
            world.endpoint().await.text
        };
        let mut connection = RawConnection::to(world.address).await;
        let sent = |what: &str| fixture(&format!("kraken-{version}-{what}.http"), &token);
        assert_eq!(connection.send(&sent("health")).await.status, 200);
        let told = connection.send(&sent("notify")).await;
        // Harbor takes any answer in the two hundreds for a success, but 208 for a failure.
        assert_eq!(told.status, 200, "{}", told.text());
        let view = view(&world, 1).await;
        assert_eq!(
            view["image"],
            "10.88.0.2:8080/hb6b016d42-private/app:v1@sha256:9cb420321e22f8e5ff9debbe50b54c4a5afe06313f9f8a51d04de024a00bf842"
        );
        assert_eq!(view["scope"], "single_seed_peer");
    }
}

#[tokio::test]
async fn a_rule_says_where_kraken_s_images_go() {
    let world = world("10.88.0.2:*").await;
    let token = world.token([Scope::Preheat]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    connection.send(&fixture("kraken-2.15-notify.http", &token)).await;
    assert_eq!(view(&world, 1).await["scope"], "all_peers");
}

#[tokio::test]
async fn what_fails_at_once_is_said_where_harbor_shows_it() {
    let registry = registry::start("nobody").await;
    let route_settings = RouteSettings {
        kraken_waits: std::time::Duration::from_secs(60),
        ..RouteSettings::default()
    };
    let world =
        World::with_route_settings(AuthMode::Tokens, vec![registry.settings.clone()], route_settings).await;
    world.start_workers();
    let token = world.token([Scope::Preheat]).await.text;
    let mut connection = RawConnection::to(world.address).await;
    let told = connection.send(&fixture("kraken-2.15-notify.http", &token)).await;
    assert_eq!(told.status, 502, "{}", told.text());
    for word in ["401", "side: caller", "preheat 1"] {
        assert!(told.text().contains(word), "{}", told.text());
    }
}

#[tokio::test]
async fn what_kraken_cannot_have_is_refused_in_words_and_nothing_of_it_is_taken() {
    let world = World::start().await;
    let token = world.token([Scope::Preheat]).await.text;
    let event =
        |target: Value| json!({"Events": [{"Id": "HbFtKW35b1Ufy3il", "Action": "push", "Target": target}]});
    let good = json!({"Url": "https://h.lan/v2/a/manifests/1", "Tag": "1"});
    let cases = [
        (json!({"Events": []}), 422, "1 to 100"),
        (
            json!({"Events": vec![json!({"Target": good}); 101]}),
            422,
            "1 to 100",
        ),
        (event(json!(null)), 422, "`Target.Url` is missing"),
        (event(json!({"Url": ""})), 422, "`Target.Url` is missing"),
        (event(json!({"Url": "h.lan/a:1"})), 422, "manifest URL"),
        (
            event(json!({"Url": "https://h.lan/v2/a/manifests/1", "Tag": "a b"})),
            422,
            "`Target.Tag`",
        ),
        (
            event(json!({"Url": "https://h.lan/v2/a/manifests/1", "Digest": "md5:1"})),
            422,
            "`Target.Digest`",
        ),
        (
            event(json!({"Url": "https://ann:s3cret@h.lan/v2/a/manifests/1"})),
            422,
            "a user name or password",
        ),
        (event(json!("x")), 422, "`Events[].Target`"),
        (json!({"Events": [{"Target": good}, 7]}), 422, "`Events[]`"),
        (json!({"Events": {}}), 422, "envelope"),
    ];
    for (body, status, told) in cases {
        let detail = world.post(DOOR, &token, &body).await.problem(status);
        assert!(
            detail.contains(told) && !detail.contains("s3cret"),
            "{body}: {detail}"
        );
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_push_that_a_rule_names_becomes_one_preheat_however_often_it_is_told() {
    let world = world("registry.lan:5000").await;
    let token = world.token([Scope::Preheat]).await.text;
    let id = "320678d8-ca14-430f-8bb6-4ca139cd83f7";
    let envelope = json!({"events": [blob(), manifest(id, "v1")]}).to_string();
    for _ in 0..3 {
        let told = tell(&world, &token, envelope.clone()).await;
        assert_eq!(told.status, 200, "{}", told.text);
        assert_eq!(told.json()["preheats"], json!([1]), "{}", told.text);
        assert_eq!(told.json()["passed_over"][0]["why"], "not a tag");
    }
    assert_eq!(world.stored().await, 1);
    let again = json!({"events": [manifest("420678d8-ca14-430f-8bb6-4ca139cd83f7", "v1")]});
    assert_eq!(
        tell(&world, &token, again.to_string()).await.json()["preheats"],
        json!([2])
    );
    let view = view(&world, 1).await;
    assert_eq!(
        view["image"],
        format!("registry.lan:5000/library/app:v1@{DIGEST}")
    );
    assert_eq!(
        (&view["scope"], &view["platforms"]),
        (&json!("all_peers"), &json!(["linux/amd64"]))
    );
}

#[tokio::test]
async fn how_a_configured_registry_is_reached_is_not_for_the_message_to_say() {
    let tls = RegistrySettings::new("registry.lan:5000".parse().expect("a name"));
    let world = World::with_route_settings(AuthMode::Tokens, vec![tls], route_settings("*")).await;
    let token = world.token([Scope::Preheat]).await.text;
    let envelope = json!({"events": [manifest("320678d8", "v1")]}).to_string();
    tell(&world, &token, envelope).await;
    let url = view(&world, 1).await["url"].as_str().expect("a url").to_owned();
    assert!(url.starts_with("https://registry.lan:5000/"), "{url}");
}

#[tokio::test]
async fn without_a_rule_nothing_happens_and_the_answer_says_so() {
    let world = world("other.lan").await;
    let token = world.token([Scope::Preheat]).await.text;
    let envelope = json!({"events": [manifest("320678d8-ca14", "v1")]}).to_string();
    let told = tell(&world, &token, envelope).await;
    assert_eq!(
        (told.status.as_u16(), told.json()["preheats"].clone()),
        (200, json!([]))
    );
    assert!(
        told.text.contains("[[trigger]]") && told.text.contains("library/app:v1"),
        "{}",
        told.text
    );
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn bad_events_are_told_and_counted_and_do_not_hold_up_the_good_ones() {
    let metrics = Metrics::new();
    let world = World::counted(AuthMode::Tokens, Vec::new(), route_settings("*"), &metrics).await;
    let token = world.token([Scope::Preheat]).await.text;
    let with = |key: &str, value: Value| {
        let mut event = manifest("320678d8-ca14", "v1");
        event["target"][key] = value;
        event
    };
    let events = vec![
        json!(7),
        json!(null),
        json!({"action": {}}),
        json!({"action": "push", "target": []}),
        with("url", json!("http://h/v2/../../x/manifests/v1")),
        with(
            "url",
            json!(format!("http://h/v2/{}/manifests/v1", "a/".repeat(3000))),
        ),
        with("digest", json!("sha256:0")),
        with("tag", json!("v 1")),
        with("tag", json!("v".repeat(10_000))),
        json!({"action": "delete"}),
        manifest("620678d8-ca14", "latest"),
        manifest("520678d8-ca14", "v1"),
    ];
    let malformed = 9;
    let told = tell(&world, &token, json!({ "events": events }).to_string()).await;
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(told.json()["preheats"], json!([1]));
    assert!(told.text.len() < 20_000, "{}", told.text.len());
    let text = metrics.text(Format::Prometheus);
    for (outcome, count) in [
        ("malformed", malformed),
        ("passed_over", 1),
        ("no_rule", 1),
        ("taken", 1),
        ("refused", 0),
    ] {
        let line =
            format!("stoker_triggers_total{{source=\"notification\",outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn what_is_no_envelope_is_a_problem() {
    let world = world("*").await;
    let token = world.token([Scope::Preheat]).await.text;
    let many = json!({"events": vec![json!({}); 1001]}).to_string();
    let large = json!({"events": ["x".repeat(300 * 1024)]}).to_string();
    let deep = format!("{{\"events\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, status) in [
        ("", 400),
        ("{", 400),
        (&deep, 400),
        ("[]", 422),
        ("{}", 422),
        ("\"events\"", 422),
        (r#"{"events": {}}"#, 422),
        (r#"{"type": "PUSH_ARTIFACT"}"#, 422),
        (&many, 422),
        (&large, 413),
    ] {
        tell(&world, &token, body.to_owned()).await.problem(status);
    }
    let text = world.ask(Method::POST, DOOR, &token).body("x");
    Answer::of(text).await.problem(415);
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_rule_that_names_what_is_not_there_is_refused_in_words() {
    let mut route_settings = route_settings("*");
    let glob = |text: &str| text.parse().expect(text);
    route_settings.rules = Rules::new(vec![Rule {
        registry: glob("*"),
        repository: glob("**"),
        tag: glob("*"),
        wish: Wish {
            clusters: preheat::ClusterChoice::Names(vec!["nowhere".to_owned()]),
            ..Wish::default()
        },
    }]);
    let world = World::with_route_settings(AuthMode::Tokens, Vec::new(), route_settings).await;
    let token = world.token([Scope::Preheat]).await.text;
    let envelope = json!({"events": [manifest("320678d8-ca14", "v1")]}).to_string();
    let told = tell(&world, &token, envelope).await;
    // A registry would send it for ever.
    assert_eq!(told.status, 200, "{}", told.text);
    assert!(told.text.contains("nowhere"), "{}", told.text);
    // Harbor shows it, once.
    let mut connection = RawConnection::to(world.address).await;
    let told = connection.send(&fixture("kraken-2.15-notify.http", &token)).await;
    assert!(
        told.status == 422 && told.text().contains("nowhere"),
        "{}",
        told.text()
    );
}
