//! Parts of objects, over real sockets from a real peer.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use world::{ImageSpec, LayerSpec, Peer, Registry};

use crate::plain_client::PlainClient;
use crate::{described, up};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_lazy_loader_reads_a_cold_image_in_parts_through_node_and_seed() {
    let registry = Registry::plain().await;
    let image = ImageSpec::new(71)
        .layers([LayerSpec::of(9 << 20), LayerSpec::of(2 << 20), LayerSpec::of(9)])
        .build();
    registry.push(&image, "library/app", "v1").await;
    let manager = world::ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let _seed = Peer::seed("seed", &manager).await;
    let node = Peer::node("node", &manager).await;
    let client = PlainClient::new(&node.front_url(), &registry);
    // Cold, then from the store.
    for _ in 0..2 {
        let read = client.pull("library/app", "v1").await;
        assert_eq!(read.len(), 4);
        assert!(
            read.iter()
                .all(|digest| image.digests().contains(&digest.as_str()))
        );
    }
}

/// As containerd 2.1 does: open-ended, and closed when it has what it wants.
#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_their_reader_abandons_cost_no_more_than_what_was_read() {
    const SIZE: u64 = 96 << 20;
    const TIMES: u64 = 24;
    let registry = Registry::plain().await;
    let image = ImageSpec::new(72).layers([LayerSpec::plain(SIZE)]).build();
    registry.push(&image, "library/app", "v1").await;
    let peer = up(&registry).await;
    let digest = image.layers().first().expect("a layer").digest.clone();
    let client = PlainClient::new(&peer.front_url(), &registry);
    let warm = client.ask(&format!("library/app/blobs/{digest}"), None).await;
    let size = warm.bytes().await.expect("the layer").len() as u64;

    let before = read_by(peer.pid());
    let front = peer.front_url();
    let front = front.trim_start_matches("http://");
    for time in 0..TIMES {
        let first = time * MIB;
        let mut stream = TcpStream::connect(front).await.expect("the front listens");
        let ns = registry.host().replace(':', "%3A");
        let head = format!(
            "GET /v2/library/app/blobs/{digest}?ns={ns} HTTP/1.1\r\nHost: {front}\r\nRange: bytes={first}-\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("asked");
        let mut piece = vec![0; 64 << 10];
        let mut got = 0;
        while got < MIB {
            let length = stream.read(&mut piece).await.expect("bytes");
            assert_ne!(length, 0, "the front hung up");
            got += length as u64;
        }
    }
    let read = read_by(peer.pid()) - before;
    let wanted: u64 = (0..TIMES).map(|time| size - time * MIB).sum();
    // What was taken, what the kernel holds of each connection (4 MiB to send, 2 MiB received), two buffers.
    let most = TIMES * (MIB + 6 * MIB + 4 * MIB);
    assert!(
        read < most && most < wanted / 4,
        "{read} bytes were read, {most} may be, {wanted} were asked for"
    );
}

/// Bytes that a process has read, from files and sockets.
fn read_by(pid: u32) -> u64 {
    let counted = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("counts");
    let line = counted.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|bytes| bytes.parse().ok()).expect("a count")
}
