//! What is observed: a manager, two seeds and a node with ids that never change, so that every run plans the same.

use uuid::Uuid;
use world::harbor::{State, Wish};
use world::jaeger::Export;
use world::{
    Containerd, Image, ImageSpec, LayerSpec, Manager, ManagerSpec, Peer, PeerSpec, Registry, eventually,
};

use crate::LIMIT;

pub(crate) struct Site {
    pub(crate) registry: Registry,
    pub(crate) manager: Manager,
    pub(crate) seeds: [Peer; 2],
    pub(crate) node: Peer,
    pub(crate) image: Image,
}

impl Site {
    /// Traced by `export`, if it is given.
    pub(crate) async fn start(export: Option<&Export>) -> Self {
        let registry = Registry::plain().await;
        let layers = [2 << 20, 300_000, 4_000].map(LayerSpec::of);
        let image = ImageSpec::new(41).layers(layers).build();
        registry.push(&image, "library/app", "v1").await;
        let described = format!("[registry.\"{}\"]\nplain_http = true\n", registry.host());
        let manager = ManagerSpec::new().config(&described);
        let manager = export
            .iter()
            .fold(manager, |spec, export| spec.traced(export))
            .start()
            .await;
        let seeds = [
            peer(PeerSpec::seed("seed-1"), 1, export).start(&manager).await,
            peer(PeerSpec::seed("seed-2"), 2, export).start(&manager).await,
        ];
        let node = peer(PeerSpec::node("node-1"), 3, export).start(&manager).await;
        let site = Self {
            registry,
            manager,
            seeds,
            node,
            image,
        };
        site.everybody_has_called_in().await;
        site
    }

    /// A plan is made over the peers that have registered.
    async fn everybody_has_called_in(&self) {
        eventually("every peer is connected", LIMIT, async || {
            let peers = self.manager.get("/api/v1/peers").await;
            let alive = peers["peers"].as_array()?.iter();
            (alive.filter(|peer| peer["alive"] == true).count() == 3).then_some(())
        })
        .await;
    }

    /// The preheat's id.
    pub(crate) async fn submit(&self, reference: &str) -> i64 {
        let wish = Wish::new(self.registry.manifest_url("library/app", reference)).scope("all_peers");
        self.manager.harbor().preheat(&wish).await.expect("taken").id
    }

    /// Waits for the end, whatever happens to the manager meanwhile.
    pub(crate) async fn succeeds(&self, id: i64) {
        let poll = self.manager.harbor().until_done_across_restarts(id, LIMIT).await;
        assert_eq!(poll.state, State::Success, "{:?}", poll.errors);
    }

    /// What the answer about a preheat names, for Jaeger.
    pub(crate) async fn trace_id(&self, id: i64) -> String {
        let view = self.manager.get(&format!("/api/v1/preheats/{id}")).await;
        let trace = view["trace_id"].as_str();
        trace.unwrap_or_else(|| panic!("no trace id: {view}")).to_owned()
    }

    /// By containerd, through the node and nothing else.
    pub(crate) async fn pull(&self) {
        let containerd = Containerd::start().await;
        containerd.mirror_only(&self.registry, &self.node.front_url());
        let name = format!("{}/library/app:v1", self.registry.host());
        containerd.pull(&name, None).await.expect("pulled");
    }
}

fn peer(spec: PeerSpec, number: u128, export: Option<&Export>) -> PeerSpec {
    let spec = spec.id(Uuid::from_u128(number));
    export.iter().fold(spec, |spec, export| spec.traced(export))
}
