//! What an explanation says, for people and programs.

use serde::Serialize;
use strum::IntoStaticStr;
use uuid::Uuid;
use wire::{ObjectKind, PullResult, PullSource, Role, Side};

use crate::model::scope::Scope;
use crate::model::state::PreheatState;

/// Whether a node holds an image, and why not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    pub image: String,
    pub node: ExplainedNode,
    /// The most useful one first; never empty.
    pub findings: Vec<Finding>,
    pub registry: RegistryStanding,
    pub reference: ReferenceMeaning,
    pub preheat: Option<ExplainedPreheat>,
    pub share: Share,
    pub objects: Vec<ExplainedObject>,
    /// The last pull of each object through this node, newest first.
    pub pulls: Vec<ExplainedPull>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedNode {
    pub id: Uuid,
    pub name: String,
    pub cluster: String,
    pub role: Role,
    /// It has a session.
    pub alive: bool,
    pub last_seen_ms: i64,
    /// Why it did not answer; none if it did.
    pub silence: Option<String>,
}

/// One state, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub verdict: FindingKind,
    pub says: String,
    pub to_do: String,
}

/// A finding in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    /// The node's peer gave no answer.
    NodeDown,
    /// A preheat of the image has not ended.
    StillRunning,
    /// The registry does not know the reference any more.
    TagGone,
    /// The tag meant something else when it was preheated.
    TagMoved,
    NeverPreheated,
    /// The preheat failed as a whole.
    PreheatFailed,
    /// Objects could not be fetched.
    ObjectFailed,
    /// Objects were removed from the node.
    RemovedSince,
    PullFailed,
    PullRefused,
    /// The node holds all objects; the last pull came from its own store.
    WholePulledFromStore,
    /// The node holds all objects; the last pull fetched some from other peers.
    WholePulledFromPeers,
    /// The node holds all objects; the last pull fetched some from the registry.
    WholePulledFromRegistry,
    /// The node holds all objects; no pull of them is recorded.
    WholeNotPulledYet,
    /// The preheat was not for this node.
    NotInScope,
    /// None of the above.
    NotKnown,
}

impl FindingKind {
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// Whether the registry said what the reference means now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RegistryStanding {
    Answers,
    /// It needs a credential that the manager does not have.
    Refuses {
        text: String,
    },
    Silent {
        text: String,
    },
    /// A caller with only read access cannot make the manager dial it.
    NotAsked {
        text: String,
    },
}

/// What the reference means: now, to the preheat, and to the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReferenceMeaning {
    pub tag: Option<String>,
    /// None: not known.
    pub now: Option<String>,
    pub preheated: Option<String>,
    pub on_node: Option<String>,
    /// Objects of the current image that the preheat did not place, and their bytes.
    pub others: Option<(u64, u64)>,
}

/// The preheat that this is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedPreheat {
    pub id: i64,
    pub state: PreheatState,
    pub scope: Scope,
    pub reason: Option<String>,
    pub side: Option<Side>,
    pub created_ms: i64,
    pub finished_ms: Option<i64>,
    /// `harbor` or `api`.
    pub asked_by: String,
    /// The name of the token that requested it.
    pub token: Option<String>,
    pub trace_id: Option<String>,
    pub trace_url: Option<String>,
    /// The newest preheat of the image, when it is another one.
    pub newest: Option<i64>,
}

/// How much of the image is on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    pub objects: u64,
    pub objects_there: u64,
    pub bytes: u64,
    pub bytes_there: u64,
    pub whole: bool,
    /// Platforms of which no object is missing, if others lack some.
    pub whole_for: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedObject {
    pub digest: String,
    pub kind: ObjectKind,
    pub media_type: String,
    pub size: u64,
    pub platform: Option<String>,
    pub standing: ObjectStanding,
    /// For people: why the object is missing.
    pub reason: Option<String>,
    pub side: Option<Side>,
    /// When it was removed.
    pub at_ms: Option<i64>,
    /// Also counts an object that is only partly there.
    pub bytes_there: u64,
}

/// Where an object is, or why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ObjectStanding {
    There,
    /// Its preheat has not ended.
    Waiting,
    Failed,
    Removed,
    /// The preheat's scope did not include the node.
    NotPlacedHere,
    /// It belongs to the current image of the tag, and not to the preheated one.
    TagMoved,
    NeverAsked,
}

impl ObjectStanding {
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// One object that a runtime asked the node for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedPull {
    pub at_ms: i64,
    pub reference: String,
    pub digest: Option<String>,
    pub kind: ObjectKind,
    pub result: PullResult,
    /// Empty if the store held the object.
    pub sources: Vec<PullSource>,
    pub bytes: u64,
    pub took_ms: u64,
    /// 10^6 bytes a second; none for objects that are too small to measure.
    pub megabytes_per_second: Option<f64>,
    pub status: u16,
    pub trouble: Option<String>,
    pub trace_id: Option<String>,
    pub trace_url: Option<String>,
}
