//! `GET /api/v1/explain`: reads rows, asks the registry for the reference's digest, and asks the node.

use axum::Json;
use axum::extract::State;
use preheat::ExplainError;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::server::app::App;
use crate::server::extract::{Allowed, QueryParams, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadQuery, Refusals, Trouble, Unknown};
use crate::server::routes::image;
use crate::types::ExplanationBody;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// Image reference, or the URL of its manifest.
    #[param(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// Name or id of a peer, or a prefix of either that matches one peer only.
    #[param(example = "node-1")]
    node: String,
}

#[utoipa::path(
    get, path = "/api/v1/explain", tag = "preheats", operation_id = "explain",
    summary = "Explain why a node has an image or lacks it",
    description = "Returns when the image was preheated and by which token, what the tag means now, which objects \
        the node has and why others are missing, and where the last pull through the node read its bytes. Takes up \
        to ten seconds if the registry or the node does not answer. The manager asks the registry with its \
        configured credential, and only a registry that is configured or that a preheat has named.",
    params(ExplainQuery),
    responses(
        (status = 200, description = "The explanation", body = ExplanationBody),
        BadQuery, Unknown, Refusals, Trouble,
    ),
)]
pub(crate) async fn get(
    State(app): State<App>,
    _: Allowed<ToRead>,
    QueryParams(asked): QueryParams<ExplainQuery>,
) -> Result<Json<ExplanationBody>, Problem> {
    let image = image::image("image", &asked.image, str::parse)?;
    let explained = preheat::explain(app.preheater(), &image, &asked.node).await;
    Ok(Json(explained.map_err(not_explained)?.into()))
}

fn not_explained(fault: ExplainError) -> Problem {
    match fault {
        ExplainError::NoPeers | ExplainError::UnknownNode { .. } => {
            Problem::not_found(format!("`node`: {fault}."))
        }
        ExplainError::AmbiguousNode { .. } => Problem::invalid(format!("`node`: {fault}.")),
        ExplainError::Storage(cause) => Problem::storage(&cause),
    }
}
