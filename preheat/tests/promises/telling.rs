use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::BoxFuture;
use preheat::{PreheatState, Scope, SendWebhook, Webhook, WebhookCall, WebhookEvent, Webhooks};
use serde_json::Value;
use wire::SecretText;

use crate::rows::{count, execute};
use crate::support::{World, failed};

const SECRET: &str = "planted-webhook-secret";

/// Somebody who wants to hear, and does not always listen.
#[derive(Clone)]
pub(crate) struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    refuses: Arc<Mutex<usize>>,
}

impl Receiver {
    pub(crate) async fn start(refuses: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self {
            url,
            heard: Arc::default(),
            refuses: Arc::new(Mutex::new(refuses)),
        };
        let router = axum::Router::new().fallback(hear).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn calls(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Events in the order in which they came, with what was said of the preheat.
    pub(crate) fn told(&self) -> Vec<(String, Value)> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|(_, body)| {
                let mut told: Value = serde_json::from_str(body).unwrap();
                (told["event"].as_str().unwrap().to_owned(), told["preheat"].take())
            })
            .collect()
    }

    pub(crate) async fn until_calls(&self, world: &World, calls: usize) {
        for _ in 0..1_000 {
            if self.calls() >= calls {
                return;
            }
            world.clock.advance(1_000);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} of {calls} calls came", self.calls());
    }
}

async fn hear(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    receiver.heard.lock().unwrap().push((headers, body));
    let mut refuses = receiver.refuses.lock().unwrap();
    if *refuses == 0 {
        return StatusCode::NO_CONTENT;
    }
    *refuses -= 1;
    StatusCode::SERVICE_UNAVAILABLE
}

struct Client(reqwest::Client);

impl SendWebhook for Client {
    fn send<'a>(&'a self, call: &'a WebhookCall) -> BoxFuture<'a, Result<u16, String>> {
        let request = call
            .headers
            .iter()
            .fold(self.0.post(call.url.expose()), |request, (name, value)| {
                request.header(*name, value)
            });
        let answer = request.body(call.body.clone()).send();
        Box::pin(async move {
            let answer = answer.await;
            answer
                .map(|answer| answer.status().as_u16())
                .map_err(|error| error.without_url().to_string())
        })
    }
}

pub(crate) async fn world(receiver: &Receiver, events: &[WebhookEvent]) -> World {
    let hook = Webhook {
        name: "ci".to_owned(),
        url: SecretText::new(receiver.url.clone()),
        secret: SecretText::new(SECRET),
        events: events.to_vec(),
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    World::with_webhooks(Webhooks {
        receivers: vec![hook],
        sender: Some(Arc::new(Client(client))),
    })
    .await
}

async fn one_that_ends(world: &World) -> i64 {
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let id = world.submit("v1", Scope::SingleSeedPeer).await;
    seed.verify_all(&seed.take().await).await;
    id
}

fn is_signed(headers: &HeaderMap, body: &str) -> bool {
    let said = headers["x-stoker-signature"].to_str().unwrap();
    let hex = said.strip_prefix("sha256=").unwrap();
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, body.as_bytes(), &bytes).is_ok()
}

#[tokio::test]
async fn a_receiver_that_fails_twice_gets_it_the_third_time_with_a_signature_that_verifies() {
    let receiver = Receiver::start(2).await;
    let world = world(&receiver, &[WebhookEvent::Ended]).await;
    let id = one_that_ends(&world).await;
    receiver.until_calls(&world, 3).await;
    let heard = receiver.heard.lock().unwrap().clone();
    let deliveries: Vec<_> = heard
        .iter()
        .map(|(headers, _)| &headers["x-stoker-delivery"])
        .collect();
    assert_eq!(deliveries, [deliveries[0]; 3], "one delivery, tried three times");
    for (headers, body) in &heard {
        assert!(is_signed(headers, body));
        assert!(!is_signed(headers, &format!("{body} ")), "the check itself works");
        assert_eq!(headers["x-stoker-event"], "ended");
        assert_eq!(headers["content-type"], "application/json");
    }
    let (event, told) = receiver.told().remove(0);
    assert_eq!((event.as_str(), &told["id"]), ("ended", &Value::from(id)));
    assert_eq!(told["state"], "succeeded");
    assert_eq!(
        (&told["placements_verified"], &told["bytes_done"]),
        (&3.into(), &told["bytes_total"])
    );
}

#[tokio::test]
async fn what_is_to_be_told_outlives_the_manager() {
    let receiver = Receiver::start(1).await;
    let mut world = world(&receiver, &[WebhookEvent::Ended]).await;
    one_that_ends(&world).await;
    receiver.until_calls(&world, 1).await;
    world.restart(Duration::from_secs(5)).await;
    receiver.until_calls(&world, 2).await;
    let heard = receiver.heard.lock().unwrap().clone();
    assert_eq!(heard[0].1, heard[1].1, "word for word");
}

#[tokio::test]
async fn a_receiver_hears_of_each_step_and_of_nothing_that_it_does_not_want() {
    let (all, ends) = (Receiver::start(0).await, Receiver::start(0).await);
    let one = world(&all, &[]).await;
    let other = world(&ends, &[WebhookEvent::Ended]).await;
    for world in [&one, &other] {
        let seed = world.seed("seed-1").await;
        world.registry.image(Some("v1"), &["a"]);
        let id = world.submit("v1", Scope::SingleSeedPeer).await;
        for lot in seed.take().await {
            seed.settle(failed(&lot, "disk full")).await;
        }
        preheat::retry(&world.preheater, id, None, "ana").await.unwrap();
        world.until_state(id, PreheatState::Placing).await;
        preheat::cancel(&world.preheater, id, "ana").await.unwrap();
    }
    all.until_calls(&one, 5).await;
    ends.until_calls(&other, 2).await;
    let states = |receiver: &Receiver| {
        let mut told: Vec<String> = receiver
            .told()
            .into_iter()
            .map(|(event, told)| format!("{event} {} {}", told["state"].as_str().unwrap(), told["attempt"]))
            .collect();
        told.sort();
        told
    };
    let ended = ["ended cancelled 2", "ended failed 1"];
    assert_eq!(states(&ends), ended);
    let expected = [
        ended[0],
        ended[1],
        "resolved placing 1",
        "resolved placing 2",
        "retried waiting 2",
    ];
    assert_eq!(states(&all), expected);
}

#[tokio::test]
async fn followers_are_told_of_too() {
    let receiver = Receiver::start(0).await;
    let mut world = world(&receiver, &[WebhookEvent::Ended]).await;
    let seed = world.seed("seed-1").await;
    world.registry.image(Some("v1"), &["a"]);
    let leader = world.submit("v1", Scope::SingleSeedPeer).await;
    let lots = seed.take().await;
    world.idle().await;
    let follower = world.submit("v1", Scope::SingleSeedPeer).await;
    let follows = format!("UPDATE preheats SET follows = {leader}, state = 'placing' WHERE id = {follower}");
    execute(&world, &follows).await;
    execute(&world, "DELETE FROM work WHERE lane = 'manager'").await;
    seed.verify_all(&lots).await;
    world.restart(Duration::ZERO).await;
    receiver.until_calls(&world, 2).await;
    let mut ids: Vec<i64> = receiver
        .told()
        .iter()
        .map(|(_, told)| told["id"].as_i64().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [leader, follower]);
}

#[tokio::test]
async fn a_receiver_that_never_listens_is_given_up_after_a_day() {
    let receiver = Receiver::start(usize::MAX).await;
    let world = world(&receiver, &[WebhookEvent::Ended]).await;
    one_that_ends(&world).await;
    receiver.until_calls(&world, 3).await;
    assert_eq!(count(&world, "work").await, 1);
    world.clock.advance(24 * 3_600_000);
    for _ in 0..500 {
        if count(&world, "work").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is still being told");
}

#[tokio::test]
async fn a_webhooks_secret_is_not_in_the_database() {
    let receiver = Receiver::start(1).await;
    let world = world(&receiver, &[]).await;
    one_that_ends(&world).await;
    receiver.until_calls(&world, 1).await;
    let files = std::fs::read_dir(world.dir.path()).unwrap();
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let is_there = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!is_there(SECRET) && !is_there(&receiver.url));
    }
}
