//! `GET /api/v1/preheats`: newest first, a page at a time.

use axum::Json;
use axum::extract::State;
use preheat::{Label, Labels, ListQuery, PreheatState, Requester};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;

use crate::server::app::App;
use crate::server::extract::{Allowed, LabelledQuery, ToRead};
use crate::server::problem::{Kind, Problem};
use crate::server::responses::{BadQuery, Refusals, Trouble};
use crate::server::routes::image;
use crate::types::{PreheatBody, Preheats};

const USUAL: u32 = 50;
const MOST: u32 = 200;
const LONGEST_TEXT: usize = 500;
const STATES: [PreheatState; 6] = [
    PreheatState::Waiting,
    PreheatState::Resolving,
    PreheatState::Placing,
    PreheatState::Succeeded,
    PreheatState::Failed,
    PreheatState::Cancelled,
];

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Page size, from 1 to 200. Default: 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only preheats with a smaller id: `next_before` of the previous page.
    before: Option<i64>,
    /// Only in these states, separated by commas. `open` means every state that is not final.
    #[param(example = "failed,cancelled")]
    state: Option<String>,
    /// Only if the image reference contains this text, ignoring case.
    #[param(example = "library/nginx")]
    image: Option<String>,
    /// Only images of this registry.
    registry: Option<String>,
    /// Only images of this repository.
    repository: Option<String>,
    /// Only preheats from this requester: `harbor`, `api`, `kraken`, `notification` or `webhook`.
    asked_by: Option<String>,
    /// Only preheats that the token with this id created.
    created_by: Option<String>,
    /// Only preheats created at this time or later.
    #[param(format = DateTime)]
    since: Option<String>,
}

#[utoipa::path(
    get, path = "/api/v1/preheats", tag = "preheats", operation_id = "list_preheats",
    summary = "List preheats, newest first",
    params(
        Page,
        ("label" = Option<Vec<String>>, Query, example = json!(["team=payments"]),
         description = "Only preheats with this label, as `key=value`. Repeatable; all must match."),
    ),
    responses((status = 200, description = "A page of preheats", body = Preheats), BadQuery, Refusals, Trouble),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Allowed<ToRead>,
    LabelledQuery { asked: page, labels }: LabelledQuery<Page>,
) -> Result<Json<Preheats>, Problem> {
    let limit = page.limit.unwrap_or(USUAL);
    let query = ListQuery {
        labels: read_labels(&labels)?,
        ..page.parse()?
    };
    let views = preheat::list(app.preheater(), query).await?;
    let is_full = views.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_before = views.last().filter(|_| is_full).map(|view| view.id);
    Ok(Json(Preheats {
        preheats: views.into_iter().map(PreheatBody::from).collect(),
        next_before,
    }))
}

impl Page {
    fn parse(self) -> Result<ListQuery, Problem> {
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::invalid(format!("`limit` is from 1 to {MOST}.")));
        }
        Ok(ListQuery {
            limit: u64::from(limit),
            before: self.before,
            states: self.state.as_deref().map(states).transpose()?.unwrap_or_default(),
            image: bounded("image", self.image)?,
            registry: bounded("registry", self.registry)?,
            repository: bounded("repository", self.repository)?,
            asked_by: self.asked_by.map(|word| door(&word)).transpose()?,
            created_by: bounded("created_by", self.created_by)?,
            since_ms: self.since.as_deref().map(moment).transpose()?,
            labels: Vec::new(),
        })
    }
}

fn read_labels(texts: &[String]) -> Result<Vec<Label>, Problem> {
    if texts.len() > Labels::MOST {
        return Err(Problem::new(
            Kind::Malformed,
            format!("`label` is given more than {} times.", Labels::MOST),
        ));
    }
    let read: Result<Vec<Label>, _> = texts.iter().map(|text| text.parse()).collect();
    read.map_err(|fault| image::bad_label("label", &fault))
}

fn states(words: &str) -> Result<Vec<PreheatState>, Problem> {
    let mut wanted = Vec::new();
    for word in words.split(',').map(str::trim) {
        match STATES.into_iter().find(|state| state.word() == word) {
            Some(state) => wanted.push(state),
            None if word == "open" => wanted.extend(STATES.into_iter().filter(|state| !state.has_ended())),
            None => {
                let known: Vec<&str> = STATES.into_iter().map(PreheatState::word).collect();
                let known = known.join(", ");
                return Err(Problem::invalid(format!(
                    "`state`: write open, or any of {known}."
                )));
            }
        }
    }
    Ok(wanted)
}

fn door(word: &str) -> Result<String, Problem> {
    let known = Requester::ALL.map(Requester::word);
    if known.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(Problem::invalid(format!(
        "`asked_by`: write one of {}.",
        known.join(", ")
    )))
}

fn bounded(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.len() > LONGEST_TEXT => Err(Problem::invalid(format!(
            "`{field}` is longer than {LONGEST_TEXT} characters."
        ))),
        text => Ok(text),
    }
}

fn moment(text: &str) -> Result<i64, Problem> {
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| Problem::invalid("`since`: write a time such as 2026-11-21T10:00:00Z."))?;
    Ok(i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or_default())
}
