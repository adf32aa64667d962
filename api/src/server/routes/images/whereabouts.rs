//! `GET /api/v1/images/where`: which peers hold what share of an image.

use axum::Json;
use axum::extract::State;
use preheat::WhereError;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::server::app::App;
use crate::server::extract::{Allowed, QueryParams, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadQuery, Refusals, Trouble, Unknown};
use crate::server::routes::image;
use crate::types::WhereBody;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhereQuery {
    /// Image reference, or the URL of its manifest.
    #[param(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
}

#[utoipa::path(
    get, path = "/api/v1/images/where", tag = "peers", operation_id = "where_is_image",
    summary = "List the peers that hold an image, and how much of it",
    description = "The objects of the image come from its newest preheat, or from the registry if there is none. \
        For nodes, only objects of preheated images are known.",
    params(WhereQuery),
    responses((status = 200, description = "The peers that hold it", body = WhereBody), BadQuery, Unknown, Refusals, Trouble),
)]
pub(crate) async fn whereabouts(
    State(app): State<App>,
    _: Allowed<ToRead>,
    QueryParams(asked): QueryParams<WhereQuery>,
) -> Result<Json<WhereBody>, Problem> {
    let image = image::image("image", &asked.image, str::parse)?;
    match preheat::where_is(app.preheater(), &image).await {
        Ok(found) => Ok(Json(found.into())),
        Err(WhereError::Storage(cause)) => Err(Problem::storage(&cause)),
        Err(fault) => Err(Problem::not_found(format!("{fault}."))),
    }
}
