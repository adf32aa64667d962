//! Somebody who wants to hear of preheats hears of each end, whatever happens to the manager.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use world::{ImageSpec, LayerSpec, ManagerSpec, Peer, Registry};

use crate::described;

const SECRET: &str = "planted-webhook-secret";

#[derive(Default)]
struct Receiver {
    listens: AtomicBool,
    refused: Mutex<usize>,
    taken: Mutex<Vec<(HeaderMap, String)>>,
}

async fn hear(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: String) -> StatusCode {
    if receiver.listens.load(Ordering::SeqCst) {
        receiver.taken.lock().expect("unharmed").push((headers, body));
        return StatusCode::OK;
    }
    *receiver.refused.lock().expect("unharmed") += 1;
    StatusCode::SERVICE_UNAVAILABLE
}

async fn start(receiver: &Arc<Receiver>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let router = axum::Router::new()
        .fallback(hear)
        .with_state(Arc::clone(receiver));
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let hex: Vec<String> = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={}", hex.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_that_is_killed_before_anybody_listened_tells_of_the_end_afterwards() {
    let receiver = Arc::new(Receiver::default());
    let url = start(&receiver).await;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("ci.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("written");
    let registry = Registry::plain().await;
    let image = ImageSpec::new(73).layers([LayerSpec::of(50_000)]).build();
    registry.push(&image, "library/app", "v1").await;
    let config = format!(
        "{}[webhook.\"ci\"]\nurl = \"{url}\"\nsecret_file = \"{}\"\nevents = [\"ended\"]\n",
        described(&registry, None),
        secret.display()
    );
    let mut manager = ManagerSpec::new().config(&config).start().await;
    let _seed = Peer::seed("seed-1", &manager).await;
    let name = format!("http://{}/library/app:v1", registry.host());
    assert!(manager.stoker(&["preheat", &name]).await.status.success());
    world::eventually("the receiver was called", crate::LIMIT, async || {
        (*receiver.refused.lock().expect("unharmed") > 0).then_some(())
    })
    .await;
    manager.kill9();
    receiver.listens.store(true, Ordering::SeqCst);
    manager.start_again().await;
    let (headers, body) = world::eventually("the receiver has heard", crate::LIMIT, async || {
        receiver.taken.lock().expect("unharmed").first().cloned()
    })
    .await;
    assert_eq!(headers["x-stoker-signature"], signature(&body).as_str());
    let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&told["event"], &told["preheat"]["id"]),
        (&"ended".into(), &1.into())
    );
    assert_eq!(told["preheat"]["state"], "succeeded");
    assert!(!manager.log().contains(SECRET), "no secret in the log");
}
