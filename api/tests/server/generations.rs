//! The bytes of Harbor 2.1 to 2.11 in, answers that its client accepts out. These Harbors send no credential, so they
//! are given an endpoint with a token in its path.

use api::AuthMode;
use api::tokens::Scope;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wire::{PlacementOutcome, Side};

use crate::raw::{RawAnswer, RawConnection, fixture, registry_token, with_digest};
use crate::registry::{self, RegistryAt};
use crate::seed::{FakeSeed, verified};
use crate::world::World;

const DISK_FULL: &str = "the disk of seed-1 is full: free some space";
const VERSIONS: [&str; 3] = ["2.2", "2.8", "2.11"];

/// The fields as Harbor's Go client has them; a number for an id ends its task.
#[derive(Debug, Deserialize)]
struct GoPreheat {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "startTime", default)]
    start_time: String,
    #[serde(rename = "finishTime", default)]
    finish_time: String,
    #[serde(default)]
    status: String,
    #[serde(rename = "errorMsg", default)]
    error_msg: String,
}

/// 208 is a success of its own from 2.3 on, and breaks 2.1 and 2.2: it is never sent.
fn read(answer: &RawAnswer) -> GoPreheat {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_else(|fault| panic!("{fault}: {}", answer.text()))
}

fn moment(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}

#[tokio::test]
async fn what_older_harbors_send_is_answered_as_their_client_demands() {
    for version in VERSIONS {
        let world = World::start().await;
        let token = world.endpoint().await.text;
        let mut connection = RawConnection::to(world.address).await;
        let sent = |what: &str| fixture(&format!("harbor-{version}-{what}.http"), &token);
        assert_eq!(connection.send(&sent("ping")).await.status, 200, "{version}");
        let created = connection.send(&sent("create")).await;
        assert_eq!(created.text(), r#"{"ID":"1"}"#);
        let poll = read(&connection.send(&sent("poll")).await);
        assert_eq!(
            (poll.id.as_str(), poll.status.as_str(), poll.error_msg.as_str()),
            ("1", "WAITING", "")
        );
        assert!(moment(&poll.finish_time) >= moment(&poll.start_time));
    }
}

#[tokio::test]
async fn without_a_credential_nothing_is_taken_and_the_ping_says_so_already() {
    let world = World::start().await;
    for version in VERSIONS {
        let mut connection = RawConnection::to(world.address).await;
        for what in ["ping", "create", "poll"] {
            let sent = fixture(&format!("harbor-{version}-{what}.http"), "stub-token");
            let sent = String::from_utf8(sent)
                .expect("text")
                .replace("/t/stub-token", "");
            let answer = connection.send(sent.as_bytes()).await;
            assert_eq!(answer.status, 401, "{version} {what}");
            assert!(answer.text().contains("--endpoint"), "{}", answer.text());
        }
    }
    assert_eq!(world.stored().await, 0);
}

#[tokio::test]
async fn a_preheat_ends_in_success_by_digest_and_nodes_learn_the_tag() {
    let (job, seed, mut connection, token) = a_preheat_on_a_seed("2.11", None).await;
    let lots = seed.take().await;
    let signed = lots[0].tag.as_ref().expect("the tag's meaning");
    let key = job.world.preheater.verifying_key();
    let tag = signed.verify(&key).expect("signed by the manager").record;
    assert_eq!(
        (tag.tag.as_str(), tag.digest.as_str()),
        ("v1", job.registry.digest().as_str())
    );
    let running = read(&connection.send(&fixture("harbor-2.11-poll.http", &token)).await);
    assert_eq!(running.status, "RUNNING");
    seed.settle(&lots, |_| verified()).await;

    let poll = read(&connection.send(&fixture("harbor-2.11-poll.http", &token)).await);
    assert_eq!((poll.status.as_str(), poll.error_msg.as_str()), ("SUCCESS", ""));
    assert!(moment(&poll.finish_time) >= moment(&poll.start_time));
    let reader = job.world.token([Scope::Read]).await.text;
    let view = job.world.get("/api/v1/preheats/1", &reader).await.json();
    assert_eq!(view["reference"], job.registry.digest());
    assert_eq!(
        view["image"],
        format!(
            "10.88.0.2:8080/hb6b016998-private/app:v1@{}",
            job.registry.digest()
        )
    );
    let asked = job.registry.image.asked.lock().expect("not poisoned").clone();
    let harbors = registry_token(&fixture("harbor-2.11-create.http", &token));
    assert!(
        asked.contains(&Some(harbors)),
        "Harbor's token reached the registry"
    );
}

#[tokio::test]
async fn a_failure_is_one_of_the_words_that_every_harbor_knows_and_says_why() {
    for version in VERSIONS {
        let (_job, seed, mut connection, token) = a_preheat_on_a_seed(version, None).await;
        let lots = seed.take().await;
        let broken = || PlacementOutcome::Failed {
            reason: DISK_FULL.to_owned(),
            side: Side::Peer,
        };
        seed.settle(&lots, |_| broken()).await;
        let poll = read(
            &connection
                .send(&fixture(&format!("harbor-{version}-poll.http"), &token))
                .await,
        );
        // FAILED is polled for ever by 2.1 to 2.7.
        assert_eq!(poll.status, "FAIL");
        for fact in [DISK_FULL, "peer", "preheat 1"] {
            assert!(poll.error_msg.contains(fact), "{}", poll.error_msg);
        }
    }
}

#[tokio::test]
async fn a_digest_that_is_not_there_fails_though_the_tag_is() {
    let elsewhere = format!("sha256:{}", "0".repeat(64));
    let (job, _seed, mut connection, token) = a_preheat_on_a_seed("2.8", Some(&elsewhere)).await;
    let poll = loop {
        let poll = read(&connection.send(&fixture("harbor-2.8-poll.http", &token)).await);
        if poll.status != "WAITING" && poll.status != "RUNNING" {
            break poll;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(poll.status, "FAIL");
    assert!(poll.error_msg.contains(&elsewhere[..19]), "{}", poll.error_msg);
    drop(job);
}

#[tokio::test]
async fn a_wrong_preheat_is_refused_in_words() {
    use serde_json::json;
    let world = World::start().await;
    let door = format!("/t/{}/preheats", world.endpoint().await.text);
    let url = "https://harbor.example.com/v2/library/nginx/manifests/1.27";
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    let cases = [
        (json!({}), 422, "`url` is missing"),
        (json!({"url": ""}), 422, "`url` is missing"),
        (json!({"url": "nginx:1.27"}), 422, "manifest URL"),
        (
            json!({"url": "https://ann:s3cret@h/v2/a/manifests/1"}),
            422,
            "a user name or password",
        ),
        (json!({"url": url, "type": "file"}), 422, "`type`"),
        (json!({"url": url, "digest": "sha256:12"}), 422, "`digest`"),
        (
            json!({"url": format!("https://h/v2/a/manifests/{}", digest("a")), "digest": digest("b")}),
            422,
            "different digests",
        ),
        (
            json!({"url": url, "headers": {"Authorization": "a\nb"}}),
            422,
            "headers.Authorization",
        ),
        (json!({"url": url, "headers": 7}), 422, "`headers`"),
        (json!({"url": 7}), 422, "expected a string"),
        (json!([]), 422, "does not fit"),
        (
            json!({"url": url, "image": "x".repeat(300 * 1024)}),
            413,
            "larger",
        ),
    ];
    for (body, status, told) in cases {
        let detail = world.bare_post(&door, &body).await.problem(status);
        assert!(detail.contains(told) && !detail.contains("s3cret"), "{detail}");
    }
    for id in ["9", "0", "-1", "x", "1/2", "99999999999999999999", "%2e%2e"] {
        let status = world.bare_get(&format!("{door}/{id}")).await.status;
        assert!(status == 404 || status == 403, "{id}: {status}");
    }
    assert_eq!(world.stored().await, 0);
}

/// What has to stay while a preheat goes on.
struct Job {
    world: World,
    registry: RegistryAt,
}

/// A preheat of a Harbor of that version, and a seed that will get it.
async fn a_preheat_on_a_seed(version: &str, digest: Option<&str>) -> (Job, FakeSeed, RawConnection, String) {
    let create = format!("harbor-{version}-create.http");
    let registry = registry::start(&registry_token(&fixture(&create, "stub-token"))).await;
    let world = World::with(AuthMode::Tokens, vec![registry.settings.clone()]).await;
    world.start_workers();
    let seed = FakeSeed::join(&world, "seed-1").await;
    let token = world.endpoint().await.text;
    let mut connection = RawConnection::to(world.address).await;
    let image = registry.digest();
    let sent = with_digest(&fixture(&create, &token), digest.unwrap_or(&image));
    read(&connection.send(&sent).await);
    (Job { world, registry }, seed, connection, token)
}
