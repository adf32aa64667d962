//! What the manager says of one image, as much of it as the command line shows.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) image: String,
    pub(crate) findings: Vec<Finding>,
    pub(crate) node: Node,
    pub(crate) registry: Registry,
    pub(crate) reference: Reference,
    pub(crate) preheat: Option<Preheat>,
    pub(crate) share: Share,
    pub(crate) objects: Vec<Object>,
    pub(crate) pulls: Vec<Pull>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) verdict: String,
    pub(crate) says: String,
    pub(crate) to_do: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) role: String,
    pub(crate) alive: bool,
    pub(crate) answers: bool,
    pub(crate) last_seen_at: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Registry {
    pub(crate) state: String,
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) now: Option<String>,
    pub(crate) preheated: Option<String>,
    pub(crate) on_node: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Preheat {
    pub(crate) id: i64,
    pub(crate) state: String,
    pub(crate) scope: String,
    pub(crate) created_at: String,
    pub(crate) asked_by: String,
    pub(crate) token: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) trace_url: Option<String>,
    pub(crate) newest: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Share {
    pub(crate) objects: u64,
    pub(crate) objects_there: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_there: u64,
    pub(crate) whole_for: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Object {
    pub(crate) digest: String,
    pub(crate) kind: String,
    pub(crate) size: u64,
    pub(crate) platform: Option<String>,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pull {
    pub(crate) at: String,
    pub(crate) reference: String,
    pub(crate) kind: String,
    pub(crate) result: String,
    pub(crate) sources: Vec<Source>,
    pub(crate) bytes: u64,
    pub(crate) megabytes_per_second: Option<f64>,
    pub(crate) status: u16,
    pub(crate) trouble: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) trace_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    #[serde(rename = "source")]
    pub(crate) name: String,
    pub(crate) peer: Option<String>,
    pub(crate) registry: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Whereabouts {
    pub(crate) image: String,
    pub(crate) digest: String,
    pub(crate) preheat: Option<i64>,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) peers: Vec<PeerShare>,
    pub(crate) peers_without: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PeerShare {
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) role: String,
    pub(crate) alive: bool,
    pub(crate) last_seen_at: String,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) whole: bool,
    #[serde(default)]
    pub(crate) objects_begun: u64,
    #[serde(default)]
    pub(crate) bytes_begun: u64,
}
