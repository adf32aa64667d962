//! `GET /api/v1/explain`: reads rows, asks the registry what the reference means now, and asks the node itself.

use axum::Json;
use axum::extract::State;
use preheat::ExplainError;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::server::app::App;
use crate::server::extract::{Allowed, Question, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadQuery, Refusals, Trouble, Unknown};
use crate::server::routes::image;
use crate::types::ExplanationBody;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// As people write it, or its manifest's URL.
    #[param(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// A peer's name, its id, or the beginning of either, if only one peer is meant by it.
    #[param(example = "node-1")]
    node: String,
}

#[utoipa::path(
    get, path = "/api/v1/explain", tag = "preheats", operation_id = "explain",
    summary = "Why an image is on a node, or is not",
    description = "Was it preheated, when and by whom; what does the tag mean now; which objects are on the node, and why \
        the others are not; where the last pull through the node got its bytes, and how fast. It takes up to ten seconds \
        where registry and node are silent. The registry is asked with the credential that is configured for it, and only \
        if it is configured or a preheat has named it.",
    params(ExplainQuery),
    responses(
        (status = 200, description = "What is known", body = ExplanationBody),
        BadQuery, Unknown, Refusals, Trouble,
    ),
)]
pub(crate) async fn get(
    State(app): State<App>,
    _: Allowed<ToRead>,
    Question(asked): Question<ExplainQuery>,
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
