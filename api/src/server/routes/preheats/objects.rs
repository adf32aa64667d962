//! `GET /api/v1/preheats/{id}/objects`: every object of the image, and where it stands on every peer.

use axum::Json;
use axum::extract::State;
use preheat::{ObjectView, PlacementState, PlacementView};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use wire::{ObjectKind, Side};

use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};

#[derive(Serialize, ToSchema)]
pub(crate) struct Objects {
    objects: Vec<ObjectBody>,
}

/// A manifest, an index, a config or a layer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ObjectBody {
    digest: String,
    /// `manifest` (an index is one too) or `blob`.
    #[schema(example = "blob")]
    kind: &'static str,
    media_type: String,
    size: u64,
    /// Of which platform, where it belongs to one.
    #[schema(example = "linux/amd64")]
    platform: Option<String>,
    placements: Vec<PlacementBody>,
}

/// One object that one peer has to hold.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlacementBody {
    peer_id: Uuid,
    peer_name: String,
    cluster_id: i64,
    peer_ip: String,
    state: Placed,
    bytes_done: u64,
    bytes_from_registry: u64,
    bytes_from_peers: u64,
    /// Of a failed placement: what happened and what to do.
    reason: Option<String>,
    #[schema(example = "peer")]
    side: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PlacementState)]
pub(crate) enum Placed {
    /// The peer has not taken it yet, or it waits for the seeds.
    Waiting,
    Fetching,
    Verified,
    Failed,
}

#[utoipa::path(
    get, path = "/api/v1/preheats/{id}/objects", tag = "preheats", operation_id = "list_objects",
    summary = "Every object of a preheat, and where it stands on every peer",
    params(("id" = i64, Path, description = "The preheat's id")),
    responses((status = 200, description = "Objects and their placements", body = Objects), Unknown, Refusals, Trouble),
)]
pub(crate) async fn objects(
    State(app): State<App>,
    _: Allowed<ToRead>,
    Parts(id): Parts<i64>,
) -> Result<Json<Objects>, Problem> {
    preheat::get(app.preheater(), id)
        .await?
        .ok_or_else(super::get::unknown)?;
    let objects = preheat::objects(app.preheater(), id).await?;
    Ok(Json(Objects {
        objects: objects.into_iter().map(ObjectBody::from).collect(),
    }))
}

impl From<ObjectView> for ObjectBody {
    fn from(view: ObjectView) -> Self {
        Self {
            digest: view.digest,
            kind: match view.kind {
                ObjectKind::Manifest => "manifest",
                ObjectKind::Blob => "blob",
            },
            media_type: view.media_type,
            size: view.size,
            platform: view.platform,
            placements: view.placements.into_iter().map(PlacementBody::from).collect(),
        }
    }
}

impl From<PlacementView> for PlacementBody {
    fn from(view: PlacementView) -> Self {
        Self {
            peer_id: view.peer_id,
            peer_name: view.peer_name,
            cluster_id: view.cluster_id,
            peer_ip: view.peer_ip,
            state: match view.state {
                PlacementState::Waiting => Placed::Waiting,
                PlacementState::Fetching => Placed::Fetching,
                PlacementState::Verified => Placed::Verified,
                PlacementState::Failed => Placed::Failed,
            },
            bytes_done: view.bytes_done,
            bytes_from_registry: view.bytes_from_registry,
            bytes_from_peers: view.bytes_from_peers,
            reason: view.reason,
            side: view.side.map(Side::word),
        }
    }
}
