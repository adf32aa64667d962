//! `GET /api/v1/clusters`: every cluster, with the id that Harbor's policies name it by.

use axum::Json;
use axum::extract::State;

use crate::server::app::App;
use crate::server::extract::{Allowed, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble};
use crate::types::{ClusterBody, Clusters};

#[utoipa::path(
    get, path = "/api/v1/clusters", tag = "peers", operation_id = "list_clusters",
    summary = "List the clusters",
    responses((status = 200, description = "The whole list", body = Clusters), Refusals, Trouble),
)]
pub(crate) async fn list(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Clusters>, Problem> {
    let clusters = preheat::clusters(app.preheater()).await?;
    Ok(Json(Clusters {
        clusters: clusters.into_iter().map(ClusterBody::from).collect(),
    }))
}
