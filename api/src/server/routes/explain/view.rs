//! An explanation, as the native API shows it.

use preheat::{
    ExplainedNode, ExplainedObject, ExplainedPreheat, ExplainedPull, Explanation, Finding, ReferenceMeaning,
    RegistryStanding, Share,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use wire::{ObjectKind, PulledFrom, Role, Side};

use crate::server::extract::Instant;

/// How an image stands with a node, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct ExplanationBody {
    /// In full, as people write it.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// The first finding's word: the one that says most.
    #[schema(example = "removed_since")]
    verdict: &'static str,
    /// The first finding's sentence or two.
    says: String,
    /// What to do about it.
    to_do: String,
    /// All that was found, the most useful first.
    findings: Vec<FindingBody>,
    node: NodeBody,
    registry: RegistryBody,
    reference: ReferenceBody,
    /// The preheat that this is about; `null`: there never was one.
    preheat: Option<ExplainedPreheatBody>,
    share: ShareBody,
    /// What the image is made of now; where that is not known, what it was when it was preheated.
    objects: Vec<ExplainedObjectBody>,
    /// The last pull of each object through this node, newest first, as far as the peer remembers.
    pulls: Vec<PullBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingBody {
    /// `node_down`, `still_running`, `tag_gone`, `tag_moved`, `never_preheated`, `preheat_failed`, `object_failed`,
    /// `removed_since`, `pull_failed`, `pull_refused`, `whole_pulled_from_store`, `whole_pulled_from_peers`,
    /// `whole_pulled_from_registry`, `whole_not_pulled_yet`, `not_in_scope` or `not_known`. There may be more one day.
    #[schema(example = "removed_since")]
    verdict: &'static str,
    says: String,
    to_do: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExplainedNode)]
struct NodeBody {
    id: Uuid,
    #[schema(example = "node-1")]
    name: String,
    #[schema(example = "default")]
    cluster: String,
    /// `seed` or `node`.
    #[schema(example = "node")]
    role: &'static str,
    /// It has a session that has not run out.
    alive: bool,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Instant,
    /// It was asked and said how the image stands with it. Else what is said of its objects is its last word.
    answers: bool,
    /// Why it gave no answer.
    silence: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RegistryStanding)]
struct RegistryBody {
    /// `answers`; `refuses` (it wants another credential); `silent`; `not_asked` (nobody has configured it or preheated
    /// from it). Unless it answers, what the tag means now is not known.
    #[schema(example = "answers")]
    state: &'static str,
    text: Option<String>,
}

/// What the reference means: now, to the preheat, and to the node.
#[derive(Serialize, ToSchema)]
#[schema(as = ReferenceMeaning)]
struct ReferenceBody {
    tag: Option<String>,
    /// The digest, by the registry's word; `null`: not known.
    now: Option<String>,
    /// The digest when the preheat asked.
    preheated: Option<String>,
    /// What the node takes the tag for.
    on_node: Option<String>,
    /// After a move: objects of what it means now that the preheat did not bring.
    objects_moved: Option<u64>,
    bytes_moved: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExplainedPreheat)]
struct ExplainedPreheatBody {
    id: i64,
    /// As in `GET /api/v1/preheats/{id}`.
    #[schema(example = "succeeded")]
    state: &'static str,
    #[schema(example = "all_peers")]
    scope: String,
    reason: Option<String>,
    side: Option<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Instant>,
    /// `harbor` or `api`.
    #[schema(example = "harbor")]
    asked_by: String,
    /// The name of the token that asked.
    token: Option<String>,
    trace_id: Option<String>,
    /// Where to look at the trace, if the configuration says where Jaeger's pages are.
    trace_url: Option<String>,
    /// The newest preheat of this image, where it is another one.
    newest: Option<i64>,
}

/// How much of the image is on the node.
#[derive(Serialize, ToSchema)]
#[schema(as = Share)]
struct ShareBody {
    objects: u64,
    objects_there: u64,
    bytes: u64,
    bytes_there: u64,
    whole: bool,
    /// Where not all is there: platforms of which everything is.
    whole_for: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExplainedObject)]
struct ExplainedObjectBody {
    digest: String,
    /// `manifest` (an index is one too) or `blob`.
    #[schema(example = "blob")]
    kind: &'static str,
    media_type: String,
    size: u64,
    #[schema(example = "linux/amd64")]
    platform: Option<String>,
    /// `there`, `waiting`, `failed`, `removed`, `not_placed_here`, `tag_moved` or `never_asked`.
    #[schema(example = "there")]
    state: &'static str,
    /// Why it is not there.
    reason: Option<String>,
    side: Option<&'static str>,
    /// When it was removed.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Instant>,
    bytes_there: u64,
}

/// One object that a container runtime asked the node for.
#[derive(Serialize, ToSchema)]
#[schema(as = Pull)]
struct PullBody {
    #[schema(value_type = String, format = DateTime)]
    at: Instant,
    /// Tag or digest, as it was asked for.
    reference: String,
    digest: Option<String>,
    #[schema(example = "blob")]
    kind: &'static str,
    /// `hit` (the store had it), `join` (it was on its way already), `miss` (it had to be fetched), `head`, `refused` or
    /// `failed`.
    #[schema(example = "hit")]
    result: &'static str,
    /// Who gave the bytes; empty when the store had them.
    sources: Vec<SourceBody>,
    /// Sent to the runtime.
    bytes: u64,
    took_ms: u64,
    /// 10^6 bytes a second; `null` where it was too quick to tell.
    megabytes_per_second: Option<f64>,
    status: u16,
    trouble: Option<String>,
    trace_id: Option<String>,
    trace_url: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PullSource)]
struct SourceBody {
    /// The registry's name, or host and port of the peer's share.
    source: String,
    /// The peer's name.
    peer: Option<String>,
    registry: bool,
    bytes: u64,
}

impl From<Explanation> for ExplanationBody {
    fn from(explained: Explanation) -> Self {
        let findings: Vec<FindingBody> = explained.findings.into_iter().map(FindingBody::from).collect();
        let (verdict, says, to_do) = findings.first().map_or_else(Default::default, |first| {
            (first.verdict, first.says.clone(), first.to_do.clone())
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
            verdict: finding.verdict.word(),
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
            role: role(node.role),
            alive: node.alive,
            last_seen_at: Instant::from_ms(node.last_seen_ms),
            answers: node.silence.is_none(),
            silence: node.silence,
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Seed => "seed",
        Role::Node => "node",
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
        Self { state, text }
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
            state: preheat.state.word(),
            scope: preheat.scope.to_string(),
            reason: preheat.reason,
            side: preheat.side.map(Side::word),
            created_at: Instant::from_ms(preheat.created_ms),
            finished_at: preheat.finished_ms.map(Instant::from_ms),
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

fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Manifest => "manifest",
        ObjectKind::Blob => "blob",
    }
}

impl From<ExplainedObject> for ExplainedObjectBody {
    fn from(object: ExplainedObject) -> Self {
        Self {
            digest: object.digest,
            kind: kind(object.kind),
            media_type: object.media_type,
            size: object.size,
            platform: object.platform,
            state: object.standing.word(),
            reason: object.reason,
            side: object.side.map(Side::word),
            at: object.at_ms.map(Instant::from_ms),
            bytes_there: object.bytes_there,
        }
    }
}

impl From<ExplainedPull> for PullBody {
    fn from(pull: ExplainedPull) -> Self {
        Self {
            at: Instant::from_ms(pull.at_ms),
            reference: pull.reference,
            digest: pull.digest,
            kind: kind(pull.kind),
            result: pull.result.word(),
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

impl From<PulledFrom> for SourceBody {
    fn from(from: PulledFrom) -> Self {
        Self {
            source: from.source,
            peer: from.peer,
            registry: from.is_registry,
            bytes: from.bytes,
        }
    }
}
