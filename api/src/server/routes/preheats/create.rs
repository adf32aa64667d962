//! `POST /api/v1/preheats`: stores a preheat and answers. No registry is asked yet.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use oci::Credential;
use preheat::{ClusterChoice, Label, Labels, PreheatRequest, Priority, Requester};

use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToPreheat};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble};
use crate::server::routes::image;
use crate::types::{ClusterNameOrId, CreatePreheat, PeerSelection, PreheatBody, RegistryUser};

const MOST_CLUSTERS: usize = 1000;

#[utoipa::path(
    post, path = "/api/v1/preheats", tag = "preheats", operation_id = "create_preheat",
    summary = "Preheat an image",
    request_body = CreatePreheat,
    responses(
        (status = 202, description = "Accepted", body = PreheatBody,
         headers(("location" = String, description = "URL of the preheat"))),
        BadBody, Refusals, Trouble,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Body(body): Body<CreatePreheat>,
) -> Result<impl IntoResponse, Problem> {
    let request = body.parse()?;
    let id = image::submitted(&app, &allowed.caller, request).await?;
    let view = preheat::get(app.preheater(), id)
        .await?
        .ok_or_else(super::get::unknown)?;
    let location = [(header::LOCATION, format!("/api/v1/preheats/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(PreheatBody::from(view))))
}

impl CreatePreheat {
    fn parse(self) -> Result<PreheatRequest, Problem> {
        let platforms = self.platforms.unwrap_or_default();
        let image = image::image("image", &self.image, str::parse)?;
        let priority = self.priority.as_deref().map(str::parse::<Priority>).transpose();
        let time_limit = self
            .time_limit
            .as_deref()
            .map(settings::units::duration)
            .transpose();
        Ok(PreheatRequest {
            scope: image::scope("scope", self.scope.as_deref().unwrap_or_default())?,
            clusters: choice(self.clusters.unwrap_or_default())?,
            platforms: image::platforms("platforms", platforms.iter().map(String::as_str))?,
            peers: self
                .peers
                .map(PeerSelection::read)
                .transpose()?
                .unwrap_or_default(),
            referrers: self.referrers,
            priority: priority
                .map_err(|fault| Problem::invalid(format!("`priority`: {fault}.")))?
                .unwrap_or_default(),
            time_limit: time_limit.map_err(|fault| Problem::invalid(format!("`time_limit`: {fault}.")))?,
            credential: self.credential.map(RegistryUser::read).transpose()?,
            labels: labels(self.labels)?,
            ..PreheatRequest::new(image, Requester::Api)
        })
    }
}

impl RegistryUser {
    pub(super) fn read(self) -> Result<Credential, Problem> {
        image::basic("credential.username", &self.username, self.password.expose())
    }
}

fn labels(pairs: BTreeMap<String, String>) -> Result<Labels, Problem> {
    let read: Result<Vec<Label>, _> = pairs
        .into_iter()
        .map(|(key, value)| Label::new(key, value))
        .collect();
    read.and_then(Labels::new)
        .map_err(|fault| image::bad_label("labels", &fault))
}

fn choice(clusters: Vec<ClusterNameOrId>) -> Result<ClusterChoice, Problem> {
    if clusters.len() > MOST_CLUSTERS {
        return Err(Problem::invalid(format!(
            "`clusters` has more than {MOST_CLUSTERS} entries."
        )));
    }
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for cluster in clusters {
        match cluster {
            ClusterNameOrId::Id(id) => ids.push(id),
            ClusterNameOrId::Name(name) => names.push(name),
        }
    }
    match (ids.is_empty(), names.is_empty()) {
        (true, true) => Ok(ClusterChoice::All),
        (false, true) => Ok(ClusterChoice::Ids(ids)),
        (true, false) => Ok(ClusterChoice::Names(names)),
        (false, false) => Err(Problem::invalid("`clusters`: write all by name or all by id.")),
    }
}
