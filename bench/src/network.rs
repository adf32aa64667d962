//! A cluster on a network of its own: registry, seeds and nodes, each a machine. Every run begins with new
//! peers whose stores are empty and in memory.

use futures_util::future::join_all;
use tempfile::TempDir;
use world::{Host, Net, Peer, PeerSpec, Usage};

use crate::setup::{ServingSetup, in_memory};

/// The network with registry and manager.
pub(crate) struct TestNetwork {
    pub(crate) setup: ServingSetup,
    pub(crate) registry: Host,
    pub(crate) net: Net,
}

/// Peers of one run.
pub(crate) struct Crowd {
    pub(crate) seeds: Vec<Peer>,
    pub(crate) nodes: Vec<Peer>,
    pub(crate) hosts: Vec<Host>,
    // After the peers, which write into it.
    _stores: TempDir,
}

impl TestNetwork {
    pub(crate) async fn new() -> Self {
        let net = Net::new();
        let registry = net.host();
        let setup = ServingSetup::on(&registry, &net.host()).await;
        Self { setup, registry, net }
    }

    /// A new cluster, each peer on the machine that `host` makes for it.
    pub(crate) async fn crowd(
        &self,
        cluster: &str,
        (seeds, nodes): (usize, usize),
        host: impl Fn(&Net) -> Host,
    ) -> Crowd {
        let stores = in_memory();
        let start = |name: String, is_seed: bool| {
            let role = if is_seed { PeerSpec::seed } else { PeerSpec::node };
            let (spec, machine) = (role(&name), host(&self.net));
            let spec = spec
                .cluster(cluster)
                .on(&machine)
                .folder(stores.path().join(&name));
            async move { (spec.start(&self.setup.manager).await, machine) }
        };
        let seeds = join_all((0..seeds).map(|number| start(format!("{cluster}-seed-{number}"), true))).await;
        let nodes = join_all((0..nodes).map(|number| start(format!("{cluster}-node-{number}"), false))).await;
        let (nodes, hosts) = nodes.into_iter().unzip();
        Crowd {
            seeds: seeds.into_iter().map(|(seed, _)| seed).collect(),
            nodes,
            hosts,
            _stores: stores,
        }
    }
}

impl Crowd {
    /// The usage of all peers together.
    pub(crate) fn usage(&self) -> Usage {
        let peers = self.seeds.iter().chain(&self.nodes);
        peers.map(|peer| peer.usage()).fold(Usage::default(), Usage::plus)
    }

    /// The largest peak memory of a peer.
    pub(crate) fn largest(&self) -> u64 {
        let peers = self.seeds.iter().chain(&self.nodes);
        peers
            .map(|peer| peer.usage().peak_bytes)
            .max()
            .unwrap_or_default()
    }
}
