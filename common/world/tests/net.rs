//! Namespaces, links and nginx on the real kernel. Needs root.

use std::process::Command;
use std::time::Instant;

use world::nginx::Mover;
use world::{ImageSpec, Manager, ManagerSpec, Net, NginxSpec, Peer, PeerSpec, Rate, Registry};

const MIB: usize = 1 << 20;

/// Returns the seconds that `curl` took on that machine, and the body.
fn curl(host: &world::Host, url: &str) -> (f64, Vec<u8>) {
    let begin = Instant::now();
    let output = host.command("curl").args(["-sS", "--fail", url]).output();
    let output = output.expect("curl");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (begin.elapsed().as_secs_f64(), output.stdout)
}

#[tokio::test]
async fn machines_reach_each_other_and_are_removed_on_drop() {
    let net = Net::new();
    let (one, other) = (net.host(), net.host());
    let nginx = NginxSpec::new(Mover::Sendfile).on(&one).start().await;
    std::fs::write(nginx.root().join("hello"), "hello").expect("written");
    assert_eq!(curl(&other, &format!("{}/hello", nginx.url())).1, b"hello");

    let address = format!("{}/", one.address());
    let listed = || {
        Command::new("ip")
            .args(["-br", "addr"])
            .output()
            .expect("ip")
            .stdout
    };
    let ours = net.own_address().to_string();
    assert!(String::from_utf8_lossy(&listed()).contains(&ours));
    drop((nginx, one, other, net));
    let after = String::from_utf8_lossy(&listed()).into_owned();
    assert!(!after.contains(&ours) && !after.contains(&address), "{after}");
}

#[tokio::test]
async fn a_link_has_the_configured_rate() {
    let net = Net::new();
    let (server, client) = (net.host_at(Rate::megabytes(10)), net.host());
    let nginx = NginxSpec::new(Mover::ReadWrite).on(&server).start().await;
    std::fs::write(nginx.root().join("much"), vec![7; 4 * MIB]).expect("written");
    let (took, got) = curl(&client, &format!("{}/much", nginx.url()));
    assert_eq!(got.len(), 4 * MIB);
    // A burst of a quarter of a megabyte has no limit. A busy machine may be slower than the rate.
    assert!(took > 0.36, "{took} s for 4 MiB at 10 MB/s");
}

#[tokio::test]
async fn our_programs_run_on_machines_of_their_own() {
    let net = Net::new();
    let registry = Registry::plain_on(&net.host()).await;
    let image = ImageSpec::small(4).build();
    registry.push(&image, "net/small", "v1").await;
    let described = format!("[registry.\"{}\"]\nplain_http = true\n", registry.host());
    let manager: Manager = ManagerSpec::new()
        .on(&net.host())
        .config(&described)
        .start()
        .await;
    let _seed: Peer = PeerSpec::seed("seed").on(&net.host()).start(&manager).await;
    let node_host = net.host();
    let node = PeerSpec::node("node").on(&node_host).start(&manager).await;
    let layer = &image.layers()[0].digest;
    let url = format!(
        "{}/v2/net/small/blobs/{layer}?ns={}",
        node.front_url(),
        registry.host()
    );
    assert_eq!(curl(&node_host, &url).1, image.bytes(layer));
    assert!(node.usage().peak_bytes > 0);
}

#[tokio::test]
async fn nginx_serves_an_image_as_a_registry_and_counts() {
    let nginx = NginxSpec::new(Mover::Sendfile).access_log().start().await;
    let image = ImageSpec::small(5).build();
    nginx.serve(&image, "lib/small");
    let root = image.root();
    let answer = world::http::client(None)
        .get(nginx.manifest_url("lib/small", &root.digest))
        .send()
        .await
        .expect("answered");
    assert_eq!(answer.headers()["docker-content-digest"], root.digest.as_str());
    assert_eq!(answer.bytes().await.expect("whole"), image.bytes(&root.digest));
    let path = format!("/v2/lib/small/manifests/{}", root.digest);
    assert_eq!(nginx.gets(), [(path, root.size)]);
    nginx.forget_requests();
    assert_eq!(nginx.bytes_sent(), 0);
}
