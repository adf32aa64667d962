//! `GET /api/v1/images/where`: which peers hold what share of an image.

use axum::Json;
use axum::extract::State;
use preheat::{PeerShare, WhereError, Whereabouts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use wire::Role;

use crate::server::app::App;
use crate::server::extract::{Allowed, Instant, Question, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadQuery, Refusals, Trouble, Unknown};
use crate::server::routes::image;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AskedWhere {
    /// As people write it, or its manifest's URL.
    #[param(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
}

/// Where an image is, by the peers' own last word.
#[derive(Serialize, ToSchema)]
#[schema(as = Whereabouts)]
pub(crate) struct WhereBody {
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    digest: String,
    /// The preheat that tells what the image is made of; `null`: the registry did, just now.
    preheat: Option<i64>,
    objects: u64,
    bytes: u64,
    /// Peers that hold any of it: the largest share first.
    peers: Vec<PeerShareBody>,
    /// Live peers that hold nothing of it.
    peers_without: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PeerShare)]
struct PeerShareBody {
    id: Uuid,
    #[schema(example = "seed-1")]
    name: String,
    #[schema(example = "default")]
    cluster: String,
    /// `seed` or `node`.
    #[schema(example = "seed")]
    role: &'static str,
    alive: bool,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Instant,
    objects: u64,
    bytes: u64,
    whole: bool,
    /// Objects that it has a part of, as it says now; 64 live peers are asked at most.
    objects_begun: u64,
    /// What it has of those.
    bytes_begun: u64,
}

#[utoipa::path(
    get, path = "/api/v1/images/where", tag = "peers", operation_id = "where_is_image",
    summary = "Which peers hold what share of an image",
    description = "What the image is made of is known from its newest preheat; without one the registry is asked. Of \
        nodes only the objects of preheated images are known.",
    params(AskedWhere),
    responses((status = 200, description = "Who holds it", body = WhereBody), BadQuery, Unknown, Refusals, Trouble),
)]
pub(crate) async fn whereabouts(
    State(app): State<App>,
    _: Allowed<ToRead>,
    Question(asked): Question<AskedWhere>,
) -> Result<Json<WhereBody>, Problem> {
    let image = image::image("image", &asked.image, str::parse)?;
    match preheat::where_is(app.preheater(), &image).await {
        Ok(found) => Ok(Json(found.into())),
        Err(WhereError::Storage(cause)) => Err(Problem::storage(&cause)),
        Err(fault) => Err(Problem::not_found(format!("{fault}."))),
    }
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
            role: match peer.role {
                Role::Seed => "seed",
                Role::Node => "node",
            },
            alive: peer.alive,
            last_seen_at: Instant::from_ms(peer.last_seen_ms),
            objects: share.objects,
            bytes: share.bytes,
            whole: share.whole,
            objects_begun: share.begun,
            bytes_begun: share.begun_bytes,
        }
    }
}
