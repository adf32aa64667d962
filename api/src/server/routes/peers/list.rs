//! `GET /api/v1/peers`: every peer that has ever called in, and whether it is there now.

use axum::Json;
use axum::extract::State;
use preheat::PeerView;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use wire::Role;

use crate::server::app::App;
use crate::server::extract::{Allowed, Instant, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};

#[derive(Serialize, ToSchema)]
pub(crate) struct Peers {
    peers: Vec<PeerBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PeerBody {
    id: Uuid,
    #[schema(example = "seed-1")]
    name: String,
    #[schema(example = "default")]
    cluster: String,
    cluster_id: i64,
    /// `seed` or `node`.
    #[schema(example = "seed")]
    role: &'static str,
    /// Where other peers reach it.
    #[schema(example = "https://10.0.0.7:65002")]
    share_url: String,
    /// It has a session that has not run out.
    alive: bool,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Instant,
    software: String,
    /// Objects that it holds.
    holdings: u64,
    held_bytes: u64,
    /// What spot checks found within the last day and did not remove it for.
    warning: Option<String>,
}

#[utoipa::path(
    get, path = "/api/v1/peers", tag = "peers", operation_id = "list_peers",
    summary = "The peers that have called in",
    responses((status = 200, description = "All of them", body = Peers), Refusals, Trouble),
)]
pub(crate) async fn list(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Peers>, Problem> {
    let peers = preheat::peers(app.preheater()).await?;
    Ok(Json(Peers {
        peers: peers.into_iter().map(PeerBody::from).collect(),
    }))
}

impl From<PeerView> for PeerBody {
    fn from(view: PeerView) -> Self {
        Self {
            id: view.id,
            name: view.name,
            cluster: view.cluster,
            cluster_id: view.cluster_id,
            role: match view.role {
                Role::Seed => "seed",
                Role::Node => "node",
            },
            share_url: view.share_url,
            alive: view.alive,
            last_seen_at: Instant::from_ms(view.last_seen_ms),
            software: view.software,
            holdings: view.holdings,
            held_bytes: view.held_bytes,
            warning: view.warning,
        }
    }
}
