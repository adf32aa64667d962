//! A seed that gives wrong bytes is found by comparing, and shut out: real programs, real TLS.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use world::harbor::Wish;
use world::{ImageSpec, LayerSpec, ManagerSpec, Peer, Registry, eventually};

use crate::plain_client::PlainClient;
use crate::{LIMIT, described, preheat_well, transcript};

/// Of the peer's log: its only sign that the manager removed it.
const REMOVED: &str = "was removed";

/// Changes a byte of each MiB in place, as a disk that fails or somebody on the machine would.
fn alter(file: &Path) {
    let mut bytes = std::fs::read(file).expect("the sealed object");
    let pieces = bytes.chunks_mut(1 << 20);
    pieces.filter_map(<[u8]>::first_mut).for_each(|byte| *byte ^= 1);
    let opened = std::fs::OpenOptions::new().write(true).open(file);
    opened.expect("opened").write_all(&bytes).expect("altered");
}

fn sealed(peer: &Peer, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    peer.data_dir().join("store/sealed").join(&hex[..2]).join(hex)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_with_altered_bytes_is_removed_and_the_preheat_notes_it() {
    let registry = Registry::plain().await;
    let image = ImageSpec::new(75).layers([LayerSpec::of(3 << 20)]).build();
    registry.push(&image, "library/app", "v1").await;
    let checks = "[timeouts]\nspot_check_every = \"100ms\"\n";
    let manager = ManagerSpec::new()
        .config(&format!("{checks}{}", described(&registry, None)))
        .start()
        .await;
    let mut seeds = Vec::new();
    for name in ["seed-1", "seed-2", "seed-3"] {
        seeds.push(Peer::seed(name, &manager).await);
    }
    let layer = image.layers().first().expect("a layer").digest.clone();
    let wish = Wish::new(registry.manifest_url("library/app", "v1")).scope("single_seed_peer");
    let poll = preheat_well(&manager, &wish).await;
    // One seed has settled it, and is the one that is checked; the others come to hold it by pulls.
    let settled = |seed: &Peer| sealed(seed, &layer).exists();
    let at = seeds.iter().position(settled).expect("a seed has it");
    let liar = seeds.remove(at);
    for witness in &seeds {
        let client = PlainClient::new(&witness.front_url(), &registry);
        client.pull("library/app", "v1").await;
        eventually("the other seed holds it", LIMIT, async || {
            settled(witness).then_some(())
        })
        .await;
    }
    alter(&sealed(&liar, &layer));

    eventually("the seed is told that it was removed", LIMIT, async || {
        liar.log().contains(REMOVED).then_some(())
    })
    .await;
    let peers = transcript(&manager.stoker(&["peers"]).await);
    assert_eq!(
        peers
            .lines()
            .filter(|line| line.split_whitespace().any(|word| word == "connected"))
            .count(),
        2,
        "{peers}"
    );
    assert!(!peers.contains(&liar.share_url()), "{peers}");
    let preheat = transcript(&manager.stoker(&["preheats", &poll.id.to_string()]).await);
    assert!(preheat.contains("spot check"), "{preheat}");
    for witness in &seeds {
        assert!(settled(witness), "a sound copy stays");
    }
}
