//! An explanation: why a node has an image or lacks it.

use preheat::{
    ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding, ReferenceMeaning,
    RegistryStanding, Share,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use wire::PullSource;

use super::timestamp::Timestamp;
use super::words::{kind_word, role_word, side_word};

/// Why a node has an image or lacks it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationBody {
    /// Full image reference.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    /// Word of the first finding, which is the most useful one.
    #[schema(example = "removed_since")]
    pub verdict: String,
    /// Text of the first finding.
    pub says: String,
    /// What to do about it.
    pub to_do: String,
    /// All findings, the most useful first.
    pub findings: Vec<FindingBody>,
    pub node: NodeBody,
    pub registry: RegistryBody,
    pub reference: ReferenceBody,
    /// The preheat that the explanation is about; `null` if there was none.
    pub preheat: Option<ExplainedPreheatBody>,
    pub share: ShareBody,
    /// The image's objects now; if not known, those of the preheat.
    pub objects: Vec<ExplainedObjectBody>,
    /// Last pull of each object through this node, newest first, as far as the peer remembers.
    pub pulls: Vec<PullBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Finding)]
pub struct FindingBody {
    /// `node_down`, `still_running`, `tag_gone`, `tag_moved`, `never_preheated`, `preheat_failed`, `object_failed`,
    /// `removed_since`, `pull_failed`, `pull_refused`, `whole_pulled_from_store`, `whole_pulled_from_peers`,
    /// `whole_pulled_from_registry`, `whole_not_pulled_yet`, `not_in_scope` or `not_known`. Later versions may add
    /// words.
    #[schema(example = "removed_since")]
    pub verdict: String,
    pub says: String,
    pub to_do: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedNode)]
pub struct NodeBody {
    pub id: Uuid,
    #[schema(example = "node-1")]
    pub name: String,
    #[schema(example = "default")]
    pub cluster: String,
    /// `seed` or `node`.
    #[schema(example = "node")]
    pub role: String,
    /// Whether it has a valid session.
    pub alive: bool,
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    /// Whether it replied to this question. If not, the state of its objects is what it reported last.
    pub answers: bool,
    /// Why it did not reply.
    pub silence: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = RegistryStanding)]
pub struct RegistryBody {
    /// `answers`, `refuses` (it refuses the credential), `silent` (no response) or `not_asked` (neither configured
    /// nor named by a preheat). Unless it answers, the tag's digest is not known.
    #[schema(example = "answers")]
    pub state: String,
    pub text: Option<String>,
}

/// Digest of the reference: now, at the preheat, and at the node.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ReferenceMeaning)]
pub struct ReferenceBody {
    pub tag: Option<String>,
    /// Digest at the registry now; `null` if not known.
    pub now: Option<String>,
    /// Digest at the time of the preheat.
    pub preheated: Option<String>,
    /// Digest that the node has for the tag.
    pub on_node: Option<String>,
    /// If the tag has moved: objects of the new digest that the preheat did not bring.
    pub objects_moved: Option<u64>,
    pub bytes_moved: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedPreheat)]
pub struct ExplainedPreheatBody {
    pub id: i64,
    /// As in `GET /api/v1/preheats/{id}`.
    #[schema(example = "succeeded")]
    pub state: String,
    #[schema(example = "all_peers")]
    pub scope: String,
    pub reason: Option<String>,
    pub side: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// `harbor` or `api`.
    #[schema(example = "harbor")]
    pub asked_by: String,
    /// Name of the token that created it.
    pub token: Option<String>,
    pub trace_id: Option<String>,
    /// Link to the trace, if the configuration has the URL of Jaeger's UI.
    pub trace_url: Option<String>,
    /// Id of the newest preheat of this image, if that is another one.
    pub newest: Option<i64>,
}

/// How much of the image the node has.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Share)]
pub struct ShareBody {
    pub objects: u64,
    pub objects_there: u64,
    pub bytes: u64,
    pub bytes_there: u64,
    pub whole: bool,
    /// If objects are missing: platforms that are complete.
    pub whole_for: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedObject)]
pub struct ExplainedObjectBody {
    pub digest: String,
    /// `manifest` (an index is one too) or `blob`.
    #[schema(example = "blob")]
    pub kind: String,
    pub media_type: String,
    pub size: u64,
    #[schema(example = "linux/amd64")]
    pub platform: Option<String>,
    /// `there`, `waiting`, `failed`, `removed`, `not_placed_here`, `tag_moved` or `never_asked`.
    #[schema(example = "there")]
    pub state: String,
    /// Why the node lacks it.
    pub reason: Option<String>,
    pub side: Option<String>,
    /// Time of the removal.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    pub bytes_there: u64,
}

/// One object that a container runtime pulled through the node.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Pull)]
pub struct PullBody {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Requested tag or digest.
    pub reference: String,
    pub digest: Option<String>,
    #[schema(example = "blob")]
    pub kind: String,
    /// `hit` (the store had it), `join` (a fetch was running), `miss` (it was fetched), `head`, `refused` or
    /// `failed`.
    #[schema(example = "hit")]
    pub result: String,
    /// Sources of the bytes; empty if the store had them.
    pub sources: Vec<SourceBody>,
    /// Bytes sent to the runtime.
    pub bytes: u64,
    pub took_ms: u64,
    /// Speed in 10^6 bytes per second; `null` if the pull was too short to measure.
    pub megabytes_per_second: Option<f64>,
    pub status: u16,
    pub trouble: Option<String>,
    pub trace_id: Option<String>,
    pub trace_url: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PullSource)]
pub struct SourceBody {
    /// Name of the registry, or host and port of the peer.
    pub source: String,
    /// The peer's name.
    pub peer: Option<String>,
    pub registry: bool,
    pub bytes: u64,
}

impl From<Explanation> for ExplanationBody {
    fn from(explained: Explanation) -> Self {
        let findings: Vec<FindingBody> = explained.findings.into_iter().map(FindingBody::from).collect();
        let (verdict, says, to_do) = findings.first().map_or_else(Default::default, |first| {
            (first.verdict.clone(), first.says.clone(), first.to_do.clone())
        });
        Self {
            image: explained.image,
            verdict,
            says,
            to_do,
            findings,
            node: explained.node.into(),
            registry: explained.registry.into(),
            reference: explained.reference.into(),
            preheat: explained.preheat.map(ExplainedPreheatBody::from),
            share: explained.share.into(),
            objects: explained
                .objects
                .into_iter()
                .map(ExplainedObjectBody::from)
                .collect(),
            pulls: explained.pulls.into_iter().map(PullBody::from).collect(),
        }
    }
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        Self {
            verdict: finding.verdict.word().to_owned(),
            says: finding.says,
            to_do: finding.to_do,
        }
    }
}

impl From<ExplainedNode> for NodeBody {
    fn from(node: ExplainedNode) -> Self {
        Self {
            id: node.id,
            name: node.name,
            cluster: node.cluster,
            role: role_word(node.role),
            alive: node.alive,
            last_seen_at: Timestamp::from_ms(node.last_seen_ms),
            answers: node.silence.is_none(),
            silence: node.silence,
        }
    }
}

impl From<RegistryStanding> for RegistryBody {
    fn from(standing: RegistryStanding) -> Self {
        let (state, text) = match standing {
            RegistryStanding::Answers => ("answers", None),
            RegistryStanding::Refuses { text } => ("refuses", Some(text)),
            RegistryStanding::Silent { text } => ("silent", Some(text)),
            RegistryStanding::NotAsked { text } => ("not_asked", Some(text)),
        };
        Self {
            state: state.to_owned(),
            text,
        }
    }
}

impl From<ReferenceMeaning> for ReferenceBody {
    fn from(meaning: ReferenceMeaning) -> Self {
        let (objects_moved, bytes_moved) = meaning.others.unzip();
        Self {
            tag: meaning.tag,
            now: meaning.now,
            preheated: meaning.preheated,
            on_node: meaning.on_node,
            objects_moved,
            bytes_moved,
        }
    }
}

impl From<ExplainedPreheat> for ExplainedPreheatBody {
    fn from(preheat: ExplainedPreheat) -> Self {
        Self {
            id: preheat.id,
            state: preheat.state.word().to_owned(),
            scope: preheat.scope.to_string(),
            reason: preheat.reason,
            side: preheat.side.map(side_word),
            created_at: Timestamp::from_ms(preheat.created_ms),
            finished_at: preheat.finished_ms.map(Timestamp::from_ms),
            asked_by: preheat.asked_by,
            token: preheat.token,
            trace_id: preheat.trace_id,
            trace_url: preheat.trace_url,
            newest: preheat.newest,
        }
    }
}

impl From<Share> for ShareBody {
    fn from(share: Share) -> Self {
        Self {
            objects: share.objects,
            objects_there: share.objects_there,
            bytes: share.bytes,
            bytes_there: share.bytes_there,
            whole: share.whole,
            whole_for: share.whole_for,
        }
    }
}

impl From<ExplainedObject> for ExplainedObjectBody {
    fn from(object: ExplainedObject) -> Self {
        Self {
            digest: object.digest,
            kind: kind_word(object.kind),
            media_type: object.media_type,
            size: object.size,
            platform: object.platform,
            state: object.standing.word().to_owned(),
            reason: object.reason,
            side: object.side.map(side_word),
            at: object.at_ms.map(Timestamp::from_ms),
            bytes_there: object.bytes_there,
        }
    }
}

impl From<ExplainedPull> for PullBody {
    fn from(pull: ExplainedPull) -> Self {
        Self {
            at: Timestamp::from_ms(pull.at_ms),
            reference: pull.reference,
            digest: pull.digest,
            kind: kind_word(pull.kind),
            result: pull.result.word().to_owned(),
            sources: pull.sources.into_iter().map(SourceBody::from).collect(),
            bytes: pull.bytes,
            took_ms: pull.took_ms,
            megabytes_per_second: pull.megabytes_per_second,
            status: pull.status,
            trouble: pull.trouble,
            trace_id: pull.trace_id,
            trace_url: pull.trace_url,
        }
    }
}

impl From<PullSource> for SourceBody {
    fn from(from: PullSource) -> Self {
        Self {
            source: from.source,
            peer: from.peer,
            registry: from.is_registry,
            bytes: from.bytes,
        }
    }
}
