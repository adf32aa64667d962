//! A seed peer that speaks over the wire and settles without fetching anything.

use process::http::{ClientOptions, client};
use uuid::Uuid;
use wire::{
    Hello, Lot, ManagerClient, Outcome, Role, SecretText, SettleRequest, Settled, TakeRequest, Welcome,
};

use crate::world::World;

pub(crate) struct FakeSeed {
    pub(crate) manager: ManagerClient,
    pub(crate) welcome: Welcome,
    pub(crate) name: String,
}

pub(crate) fn hello_of(name: &str) -> Hello {
    Hello {
        wire_version: wire::VERSION,
        peer: Uuid::new_v4(),
        name: name.to_owned(),
        cluster: "default".to_owned(),
        role: Role::Seed,
        advertise: None,
        share_port: 65002,
        share_scheme: "http".to_owned(),
        software: "test".to_owned(),
        holdings_hash: wire::holdings_hash([]),
    }
}

impl FakeSeed {
    pub(crate) async fn join(world: &World, token: &str, name: &str) -> Self {
        let http = client(&ClientOptions::default()).expect("a client");
        let manager = ManagerClient::new(http, &world.url(""), SecretText::new(token));
        let welcome = manager.hello(&hello_of(name)).await.expect("welcome");
        Self {
            manager,
            welcome,
            name: name.to_owned(),
        }
    }

    /// The next work, which must come.
    pub(crate) async fn take(&self) -> Vec<Lot> {
        let request = TakeRequest {
            at_most: 10,
            wait_ms: 20_000,
            neighbourhood_version: String::new(),
            working_on: Vec::new(),
            images: None,
        };
        loop {
            let answer = self
                .manager
                .take(self.welcome.session, &request)
                .await
                .expect("an answer");
            if !answer.lots.is_empty() {
                return answer.lots;
            }
        }
    }

    pub(crate) async fn settle(&self, lots: &[Lot], outcome: impl Fn(usize) -> Outcome) {
        let orders = lots
            .iter()
            .flat_map(|lot| lot.placements.iter().map(move |order| (lot, order)));
        let settled = orders.enumerate().map(|(n, (lot, order))| Settled {
            work: lot.work,
            fence: lot.fence,
            digest: order.digest.clone(),
            outcome: outcome(n),
        });
        let request = SettleRequest {
            settled: settled.collect(),
        };
        let answer = self
            .manager
            .settle(self.welcome.session, &request)
            .await
            .expect("acknowledged");
        assert_eq!(answer.stale, Vec::<i64>::new());
    }
}

pub(crate) fn verified() -> Outcome {
    Outcome::Verified {
        bytes_from_registry: 1,
        bytes_from_peers: 0,
    }
}
