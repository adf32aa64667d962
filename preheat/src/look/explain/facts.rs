//! The facts that an explanation is concluded from.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use wire::{Reply, Role, Side};

use crate::image::contents::ImageObject;
use crate::model::scope::Scope;
use crate::model::state::PreheatState;
use crate::model::trace_pages::TracePages;

#[derive(Debug, Clone)]
pub(crate) struct ExplainedFacts {
    pub(crate) now_ms: i64,
    /// For people.
    pub(crate) image: String,
    pub(crate) registry: String,
    /// Tag or digest, as the caller wrote it.
    pub(crate) reference: String,
    /// None if the caller named a digest.
    pub(crate) tag: Option<String>,
    pub(crate) node: NodeFacts,
    pub(crate) meaning: Meaning,
    pub(crate) preheat: Option<Preheated>,
    /// The objects of the current image; if they are unknown, those of the preheated image.
    pub(crate) needed: Vec<ImageObject>,
    pub(crate) reply: Result<Reply, String>,
    /// The holdings that the node last reported.
    pub(crate) held: BTreeSet<String>,
    pub(crate) trace_pages: TracePages,
}

#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) cluster_id: i64,
    pub(crate) role: Role,
    pub(crate) alive: bool,
    pub(crate) last_seen_ms: i64,
}

/// What the reference means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    Digest(String),
    /// The registry answers that it does not know the reference.
    Gone(String),
    Refused(String),
    Silent(String),
    NotAsked(String),
}

impl Meaning {
    pub(crate) fn digest(&self) -> Option<&str> {
        match self {
            Self::Digest(digest) => Some(digest),
            _ => None,
        }
    }
}

/// A preheat of the image, with its placements on this node.
#[derive(Debug, Clone)]
pub(crate) struct Preheated {
    pub(crate) id: i64,
    pub(crate) state: PreheatState,
    pub(crate) scope: Scope,
    pub(crate) digest: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) side: Option<Side>,
    pub(crate) created_ms: i64,
    pub(crate) finished_ms: Option<i64>,
    pub(crate) asked_by: String,
    pub(crate) token: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) trace_url: Option<String>,
    pub(crate) newest: Option<i64>,
    /// Its objects.
    pub(crate) objects: BTreeSet<String>,
    /// Placements on this node, by digest.
    pub(crate) placed: BTreeMap<String, Placed>,
    /// The node has a lot that it has not begun.
    pub(crate) lot_waits: bool,
    /// It has placements in the node's cluster.
    pub(crate) in_cluster: bool,
    /// Failures on other peers of the cluster, by digest.
    pub(crate) failed_elsewhere: BTreeMap<String, Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placed {
    Open,
    Verified,
    Failed(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) side: Option<Side>,
}
