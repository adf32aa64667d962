//! `GET /api/v1/clusters`: every cluster, with the id that Harbor's policies name it by.

use axum::Json;
use axum::extract::State;
use preheat::ClusterView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::app::App;
use crate::server::extract::{Allowed, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};

#[derive(Serialize, ToSchema)]
pub(crate) struct Clusters {
    clusters: Vec<ClusterBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterBody {
    /// Never used again. What Harbor's `cluster_ids` name.
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "default")]
    name: String,
    /// Seeds that are there now.
    seeds: u64,
    /// Nodes that are there now.
    nodes: u64,
}

#[utoipa::path(
    get, path = "/api/v1/clusters", tag = "peers", operation_id = "list_clusters",
    summary = "The clusters that peers belong to",
    responses((status = 200, description = "All of them", body = Clusters), Refusals, Trouble),
)]
pub(crate) async fn list(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Clusters>, Problem> {
    let clusters = preheat::clusters(app.preheater()).await?;
    Ok(Json(Clusters {
        clusters: clusters.into_iter().map(ClusterBody::from).collect(),
    }))
}

impl From<ClusterView> for ClusterBody {
    fn from(view: ClusterView) -> Self {
        let ClusterView {
            id,
            name,
            seeds,
            nodes,
        } = view;
        Self {
            id,
            name,
            seeds,
            nodes,
        }
    }
}
