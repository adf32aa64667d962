//! Images: those that are pinned, removed or blocked, and which peers hold one.

use preheat::image_rules::{ImageRule, RemovedImage};
use preheat::{PeerShare, Whereabouts};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::timestamp::Timestamp;
use super::words::role_word;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinImage {
    /// Image reference, or the URL of its manifest.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    /// Lifetime of the pin: a number and `w`, `d`, `h` or `m`. Default: until it is unpinned.
    #[serde(rename = "for")]
    #[schema(example = "30d")]
    pub lifetime: Option<String>,
    /// Reason, for people.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveImage {
    /// Image reference, or the URL of its manifest.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    /// Also block it: preheats of it fail, and peers refuse to serve it.
    #[serde(default)]
    pub block: bool,
    /// Reason, for people; shown to refused callers.
    #[schema(example = "CVE-2026-12345")]
    pub reason: Option<String>,
}

/// A pin or a block.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = ImageRule)]
pub struct RuleBody {
    pub id: i64,
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    /// `null` if only the name of the image is known.
    pub digest: Option<String>,
    pub objects: u64,
    /// Name of the token that created it.
    #[schema(example = "ci")]
    pub created_by: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pins {
    pub pins: Vec<RuleBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Blocks {
    pub blocks: Vec<RuleBody>,
}

/// Result of a removal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Removal)]
pub struct RemovalBody {
    pub image: String,
    pub digest: Option<String>,
    /// Objects that peers remove.
    pub objects: u64,
    /// Objects that stay because other images need them.
    pub shared: u64,
    pub blocked: bool,
}

impl From<ImageRule> for RuleBody {
    fn from(rule: ImageRule) -> Self {
        Self {
            id: rule.id,
            image: rule.image,
            digest: rule.digest,
            objects: rule.objects,
            created_by: rule.created_by,
            created_at: Timestamp::from_ms(rule.created_ms),
            until: rule.until_ms.map(Timestamp::from_ms),
            reason: rule.reason,
        }
    }
}

impl From<RemovedImage> for RemovalBody {
    fn from(removed: RemovedImage) -> Self {
        Self {
            image: removed.image,
            digest: removed.digest,
            objects: removed.objects,
            shared: removed.shared,
            blocked: removed.blocked,
        }
    }
}

/// Which peers hold an image, as they reported last.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Whereabouts)]
pub struct WhereBody {
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    pub image: String,
    pub digest: String,
    /// Preheat that the list of objects comes from; `null` if the registry was asked.
    pub preheat: Option<i64>,
    pub objects: u64,
    pub bytes: u64,
    /// Peers that hold any of it, the largest share first.
    pub peers: Vec<PeerShareBody>,
    /// Number of connected peers that hold nothing of it.
    pub peers_without: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = PeerShare)]
pub struct PeerShareBody {
    pub id: Uuid,
    #[schema(example = "seed-1")]
    pub name: String,
    #[schema(example = "default")]
    pub cluster: String,
    /// `seed` or `node`.
    #[schema(example = "seed")]
    pub role: String,
    pub alive: bool,
    #[schema(value_type = String, format = DateTime)]
    pub last_seen_at: Timestamp,
    pub objects: u64,
    pub bytes: u64,
    pub whole: bool,
    /// Objects that it holds in part, as it reports now. At most 64 connected peers are asked.
    #[serde(default)]
    #[schema(required)]
    pub objects_begun: u64,
    /// Bytes of those objects that it holds.
    #[serde(default)]
    #[schema(required)]
    pub bytes_begun: u64,
}

impl From<Whereabouts> for WhereBody {
    fn from(found: Whereabouts) -> Self {
        Self {
            image: found.image,
            digest: found.digest,
            preheat: found.preheat,
            objects: found.objects,
            bytes: found.bytes,
            peers: found.peers.into_iter().map(PeerShareBody::from).collect(),
            peers_without: found.without,
        }
    }
}

impl From<PeerShare> for PeerShareBody {
    fn from(share: PeerShare) -> Self {
        let peer = share.peer;
        Self {
            id: peer.id,
            name: peer.name,
            cluster: peer.cluster,
            role: role_word(peer.role),
            alive: peer.alive,
            last_seen_at: Timestamp::from_ms(peer.last_seen_ms),
            objects: share.objects,
            bytes: share.bytes,
            whole: share.whole,
            objects_begun: share.begun,
            bytes_begun: share.begun_bytes,
        }
    }
}
