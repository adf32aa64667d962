//! The gates in real time. Exact rules are tested on the bucket.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use process::Running;
use process::metrics::{Format, Metrics};
use tokio::time::{Instant, timeout};
use wire::Rate;

use super::*;

const KIB: u64 = 1 << 10;

fn limited(incoming: u64) -> Limits {
    let own = LimitSettings {
        incoming: Some(Rate::at_least(incoming)),
        ..LimitSettings::default()
    };
    Limits::new(own, Running::new())
}

fn with_incoming(rate: Option<u64>) -> LimitSettings {
    LimitSettings {
        incoming: rate.map(Rate::at_least),
        ..LimitSettings::default()
    }
}

#[tokio::test]
async fn without_a_limit_nothing_waits() {
    let limits = Limits::none(Running::new());
    let all = async {
        limits.incoming(Class::Prefetch, u64::MAX).await;
        limits.outgoing(u64::MAX).await;
        limits
            .registry(&"a.lan".parse().expect("a name"), Class::Preheat, u64::MAX)
            .await;
    };
    timeout(Duration::from_secs(5), all).await.expect("no wait");
}

#[tokio::test]
async fn many_readers_together_get_the_rate_and_no_more() {
    let limits = limited(4 << 20);
    let began = Instant::now();
    let one = |_| {
        let limits = limits.clone();
        async move {
            let parts = stream::iter((0..8).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 64 << 10]))));
            let paced = limits.paced(Way::FromPeer, parts, || Class::Interactive);
            paced
                .map_ok(|bytes| bytes.len())
                .try_collect::<Vec<usize>>()
                .await
                .expect("parts")
                .len()
        }
    };
    let got = futures_util::future::join_all((0..4).map(one)).await;
    assert_eq!(got, [8; 4]);
    // Two mebibytes at four a second; the savings and one part come at once.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(370), "{took:?}");
}

#[tokio::test]
async fn a_cancelled_wait_delays_no_other() {
    let limits = limited(64 * KIB);
    limits.incoming(Class::Interactive, 16 * KIB).await;
    let gives_up = timeout(
        Duration::from_millis(20),
        limits.incoming(Class::Interactive, 1 << 30),
    )
    .await;
    assert!(gives_up.is_err(), "a gibibyte passed at once");
    timeout(Duration::from_secs(20), limits.incoming(Class::Prefetch, 1))
        .await
        .expect("the next one passes");
}

#[tokio::test]
async fn lifting_a_limit_ends_all_waits() {
    let limits = Limits::none(Running::new());
    limits.apply(&with_incoming(Some(64 * KIB)));
    limits.incoming(Class::Interactive, 30 << 20).await;
    let waiting = limits.incoming(Class::Interactive, 1);
    tokio::pin!(waiting);
    assert!(
        timeout(Duration::from_millis(20), waiting.as_mut())
            .await
            .is_err()
    );
    limits.apply(&with_incoming(None));
    timeout(Duration::from_secs(20), waiting)
        .await
        .expect("it passes");
    assert_eq!(limits.current(), LimitSettings::default());
}

#[tokio::test]
async fn the_manager_does_not_lift_the_owner_s_limit() {
    let limits = limited(64 * KIB);
    limits.apply(&with_incoming(Some(1 << 30)));
    assert_eq!(limits.current().incoming, Some(Rate::at_least(64 * KIB)));
    limits.apply(&with_incoming(None));
    assert_eq!(limits.current().incoming, Some(Rate::at_least(64 * KIB)));
}

#[tokio::test]
async fn each_registry_has_its_own_limit() {
    let limits = Limits::none(Running::new());
    let (slow, other) = ("a.lan".parse().expect("a name"), "b.lan".parse().expect("a name"));
    let mut from_manager = LimitSettings::default();
    from_manager.registries.insert(slow, Rate::at_least(64 * KIB));
    limits.apply(&from_manager);
    let slow = Way::FromRegistry("a.lan".parse().expect("a name"));
    limits.pass(&slow, Class::Preheat, 1 << 20).await;
    assert!(
        timeout(Duration::from_millis(20), limits.pass(&slow, Class::Preheat, 1))
            .await
            .is_err()
    );
    let other = Way::FromRegistry(other);
    let passes = limits.pass(&other, Class::Preheat, 1 << 20);
    timeout(Duration::from_secs(5), passes)
        .await
        .expect("another registry's bytes");
}

#[tokio::test]
async fn an_error_passes_at_once() {
    let limits = limited(64 * KIB);
    limits.incoming(Class::Interactive, 30 << 20).await;
    let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
    let paced = limits.paced(Way::FromPeer, broken, || Class::Interactive);
    tokio::pin!(paced);
    let next = timeout(Duration::from_secs(5), paced.next())
        .await
        .expect("no wait");
    assert!(next.expect("an item").is_err());
}

#[tokio::test]
async fn limited_bytes_and_waits_are_counted() {
    let limits = limited(64 * KIB);
    let metrics = Metrics::new();
    limits.register(&metrics);
    let zero = "stoker_limited_bytes_total{limit=\"origin\",class=\"prefetch\"} 0";
    assert!(
        metrics.text(Format::OpenMetrics).contains(zero),
        "{}",
        metrics.text(Format::OpenMetrics)
    );
    limits.incoming(Class::Preheat, 8 * KIB).await;
    limits.incoming(Class::Preheat, 8 * KIB).await;
    let text = metrics.text(Format::OpenMetrics);
    let line = |start: &str| {
        text.lines()
            .find(|line| line.starts_with(start))
            .map(str::to_owned)
            .unwrap_or_default()
    };
    let labels = "{limit=\"incoming\",class=\"preheat\"}";
    assert!(
        line(&format!("stoker_limited_bytes_total{labels}")).ends_with(" 16384"),
        "{text}"
    );
    assert!(
        !line(&format!("stoker_limit_wait_seconds_total{labels}")).is_empty(),
        "{text}"
    );
}
