//! `GET /api/v1/preheats/{id}/objects`: every object of the image, with its state on each peer.

use axum::Json;
use axum::extract::State;

use crate::server::app::App;
use crate::server::extract::{Allowed, Parts, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{Refusals, Trouble, Unknown};
use crate::types::{ObjectBody, Objects};

#[utoipa::path(
    get, path = "/api/v1/preheats/{id}/objects", tag = "preheats", operation_id = "list_objects",
    summary = "List the objects of a preheat, with the state of each on each peer",
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
