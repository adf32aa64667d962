//! Limits of bandwidth, from the command line to the bytes.

use std::time::{Duration, Instant};

use world::{ImageSpec, LayerSpec, ManagerSpec, Registry};

use crate::plain_client::PlainClient;
use crate::{described, transcript};

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_shown_set_applied_and_reset() {
    let registry = Registry::plain().await;
    let image = ImageSpec::new(95).layers([LayerSpec::of(4 << 20)]).build();
    registry.push(&image, "library/app", "v1").await;
    let budget = format!(
        "[cluster.default.origin.\"{}\"]\nbandwidth = \"1MiB/s\"\n",
        registry.host()
    );
    let manager = ManagerSpec::new()
        .config(&(described(&registry, None) + &budget))
        .start_up()
        .await;
    let configured = transcript(&manager.stoker(&["limits", "show"]).await);
    assert!(configured.contains("1MiB/s"), "{configured}");
    let client = PlainClient::new(&manager.front_url(), &registry);
    let began = Instant::now();
    assert_eq!(client.pull_whole("library/app", "v1").await, 2);
    // Four mebibytes at one a second; a tenth of a second is saved up, and the last chunk goes on credit.
    let took = began.elapsed();
    assert!(took > Duration::from_millis(2_400), "{took:?}");

    let origin = format!("{}=64MiB/s", registry.host());
    let set = transcript(
        &manager
            .stoker(&["limits", "set", "default", "--origin", &origin])
            .await,
    );
    assert!(set.contains("64MiB/s"), "{set}");
    let reset = transcript(&manager.stoker(&["limits", "reset", "default"]).await);
    assert!(reset.contains("1MiB/s") && !reset.contains("64MiB/s"), "{reset}");
    let nowhere = transcript(&manager.stoker(&["limits", "show", "nowhere"]).await);
    assert!(
        nowhere.starts_with("Some(2)") && nowhere.contains("nowhere"),
        "{nowhere}"
    );
}
