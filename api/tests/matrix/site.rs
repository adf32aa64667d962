//! A site in front of the odd registry, and what one cell comes to there.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use world::{Manager, ManagerSpec, Peer, PeerSpec};

use crate::cell::{Cell, Head, Use};
use crate::contents::Contents;
use crate::odd_registry::{OddRegistry, PASSWORD, USER};
use crate::plain_client::{PlainClient, PullFailure};

const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `stoker up`.
    Up,
    NodeAndSeed,
}

/// What a cell came to.
#[derive(Debug)]
pub(crate) enum Finding {
    Same,
    /// A runtime goes to the registry itself.
    LeadsElsewhere(PullFailure),
    Differs(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => out.write_str("same"),
            Self::LeadsElsewhere(failure) => write!(out, "leads elsewhere: {failure}"),
            Self::Differs(why) => write!(out, "differs: {why}"),
        }
    }
}

pub(crate) struct Site {
    http: Client,
    manager: Manager,
    front: String,
    _peers: Vec<Peer>,
}

impl Site {
    pub(crate) async fn start(shape: Shape, registry: &OddRegistry) -> Self {
        let config = format!(
            "[registry.\"{}\"]\nplain_http = true\nusername = \"{USER}\"\npassword = \"{PASSWORD}\"\n",
            registry.host()
        );
        let spec = ManagerSpec::new().config(&config);
        let http = world::http::client(None);
        if shape == Shape::Up {
            let manager = spec.start_up().await;
            let front = manager.front_url();
            return Self {
                http,
                manager,
                front,
                _peers: Vec::new(),
            };
        }
        let manager = spec.start().await;
        let seed = PeerSpec::seed("seed").start(&manager).await;
        let node = PeerSpec::node("node").start(&manager).await;
        let front = node.front_url();
        Self {
            http,
            manager,
            front,
            _peers: vec![seed, node],
        }
    }

    /// Compares a plain client at the registry with a caller through the front.
    pub(crate) async fn try_cell(&self, registry: &OddRegistry, cell: Cell) -> (Cell, Finding) {
        let contents = registry.contents(cell);
        let url = format!("http://{}", registry.host());
        let direct = PlainClient::new(&self.http, &url, None, cell)
            .run(&contents)
            .await;
        direct.unwrap_or_else(|failure| panic!("{cell}: a plain client does not get it: {failure}"));
        (cell, self.through(registry, cell, &contents).await)
    }

    async fn through(&self, registry: &OddRegistry, cell: Cell, contents: &Contents) -> Finding {
        if cell.used == Use::Preheat
            && let Some(why) = self.failed_preheat(registry, cell).await
        {
            return Finding::Differs(why);
        }
        let client = PlainClient::new(&self.http, &self.front, Some(registry.host()), cell);
        if cell.used == Use::PullByTag
            && let Some(why) = wrong_head(&client, contents).await
        {
            return Finding::Differs(why);
        }
        match client.run(contents).await {
            Ok(()) => Finding::Same,
            Err(failure) if failure.leads_elsewhere() => Finding::LeadsElsewhere(failure),
            Err(failure) => Finding::Differs(failure.to_string()),
        }
    }

    /// Returns why a preheat failed.
    async fn failed_preheat(&self, registry: &OddRegistry, cell: Cell) -> Option<String> {
        let image = format!("{}/{cell}:v1", registry.host());
        let made = self
            .manager
            .post("/api/v1/preheats", &json!({"image": image}))
            .await;
        let path = format!("/api/v1/preheats/{}", made["id"]);
        let view = world::eventually("the preheat has ended", LIMIT, async || {
            let view = self.manager.get(&path).await;
            ["succeeded", "failed"]
                .iter()
                .any(|state| view["state"] == **state)
                .then_some(view)
        })
        .await;
        (view["state"] != "succeeded").then(|| format!("the preheat failed: {}", view["reason"]))
    }
}

/// A HEAD through a front names the tag's digest, or has the registry's own status, or leads elsewhere.
async fn wrong_head(client: &PlainClient<'_>, contents: &Contents) -> Option<String> {
    let (status, digest, length) = match client.head().await {
        Ok(answer) => answer,
        Err(failure) => return Some(failure.to_string()),
    };
    let registrys_own = match client.cell.head {
        Head::NotFound => StatusCode::NOT_FOUND,
        Head::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Head::Forbidden | Head::Redirect => StatusCode::FORBIDDEN,
        Head::Ok | Head::LengthZero => StatusCode::OK,
    };
    let root = contents.root();
    let is_right = if status == StatusCode::OK {
        digest.as_deref() == Some(&root.digest)
            && length.is_none_or(|length| length == root.bytes.len() as u64)
    } else {
        status.is_server_error() || status == registrys_own
    };
    (!is_right).then(|| format!("HEAD: {status} {digest:?} {length:?}"))
}
