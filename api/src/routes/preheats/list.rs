//! `GET /api/v1/preheats`: newest first, a page at a time.

use axum::Json;
use axum::extract::State;
use preheat::ListQuery;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::PreheatBody;
use crate::app::App;
use crate::extract::{Allowed, Question, ToRead};
use crate::openapi::{BadQuery, Refusals, Trouble};
use crate::problem::Problem;

const USUAL: u32 = 50;
const MOST: u32 = 200;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// From 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only preheats with a smaller id: the `next_before` of the page before.
    before: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Preheats {
    preheats: Vec<PreheatBody>,
    /// What to give as `before` for the next page; `null` on the last one.
    next_before: Option<i64>,
}

#[utoipa::path(
    get, path = "/api/v1/preheats", tag = "preheats", operation_id = "list_preheats",
    summary = "Preheats, newest first",
    params(Page),
    responses((status = 200, description = "A page of them", body = Preheats), BadQuery, Refusals, Trouble),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Allowed<ToRead>,
    Question(page): Question<Page>,
) -> Result<Json<Preheats>, Problem> {
    let limit = page.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` is from 1 to {MOST}.")));
    }
    let query = ListQuery {
        limit: u64::from(limit),
        before: page.before,
        ..ListQuery::default()
    };
    let views = preheat::list(app.preheater(), query).await?;
    let is_full = views.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_before = views.last().filter(|_| is_full).map(|view| view.id);
    Ok(Json(Preheats {
        preheats: views.into_iter().map(PreheatBody::from).collect(),
        next_before,
    }))
}
