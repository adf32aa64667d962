//! `POST /api/v1/preheats`: asks for one image. It is written down and answered; no registry is asked yet.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use oci::Credential;
use preheat::{ClusterChoice, Origin, PreheatRequest, Priority};
use serde::Deserialize;
use utoipa::ToSchema;
use wire::SecretText;

use super::choice::Peers;
use super::view::PreheatBody;
use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToPreheat};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble};
use crate::server::routes::image;

const MOST_CLUSTERS: usize = 1000;

/// What to preheat, and where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePreheat {
    /// As people write it, or the URL of its manifest. `http://` in front means plain HTTP.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// `single_seed_peer` (the default), `all_seed_peers` or `all_peers`.
    #[schema(example = "single_seed_peer")]
    scope: Option<String>,
    /// All by name or all by id; every cluster that has a seed unless given.
    clusters: Option<Vec<Cluster>>,
    /// `os/architecture[/variant]`; all that the image has unless given.
    #[schema(example = json!(["linux/amd64"]))]
    platforms: Option<Vec<String>>,
    /// Which of the peers that the scope names; all unless given.
    peers: Option<Peers>,
    /// What refers to the image comes along: signatures, lists of contents. As the cluster wants it unless given.
    referrers: Option<bool>,
    /// `low`, `normal` (the default) or `high`: what goes first when there is much to do.
    #[schema(example = "normal")]
    priority: Option<String>,
    /// It fails unless it has ended after this time, for example `10m`; the manager's own limit unless given.
    #[schema(example = "10m")]
    time_limit: Option<String>,
    credential: Option<RegistryUser>,
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "a cluster is its name or its id")]
pub(crate) enum Cluster {
    Id(i64),
    Name(String),
}

/// A user of the registry. Kept encrypted until the preheat ends, and gone then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryUser {
    username: String,
    #[schema(value_type = String, format = Password)]
    password: SecretText,
}

#[utoipa::path(
    post, path = "/api/v1/preheats", tag = "preheats", operation_id = "create_preheat",
    summary = "Preheat an image",
    request_body = CreatePreheat,
    responses(
        (status = 202, description = "Written down", body = PreheatBody,
         headers(("location" = String, description = "Where to ask how it is doing"))),
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
            .map(process::config::duration)
            .transpose();
        Ok(PreheatRequest {
            scope: image::scope("scope", self.scope.as_deref().unwrap_or_default())?,
            clusters: choice(self.clusters.unwrap_or_default())?,
            platforms: image::platforms("platforms", platforms.iter().map(String::as_str))?,
            peers: self.peers.map(Peers::read).transpose()?.unwrap_or_default(),
            referrers: self.referrers,
            priority: priority
                .map_err(|fault| Problem::invalid(format!("`priority`: {fault}.")))?
                .unwrap_or_default(),
            time_limit: time_limit.map_err(|fault| Problem::invalid(format!("`time_limit`: {fault}.")))?,
            credential: self.credential.map(RegistryUser::read).transpose()?,
            ..PreheatRequest::new(image, Origin::Api)
        })
    }
}

impl RegistryUser {
    pub(super) fn read(self) -> Result<Credential, Problem> {
        image::basic("credential.username", &self.username, self.password.expose())
    }
}

fn choice(clusters: Vec<Cluster>) -> Result<ClusterChoice, Problem> {
    if clusters.len() > MOST_CLUSTERS {
        return Err(Problem::invalid(format!(
            "`clusters` has more than {MOST_CLUSTERS} entries."
        )));
    }
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for cluster in clusters {
        match cluster {
            Cluster::Id(id) => ids.push(id),
            Cluster::Name(name) => names.push(name),
        }
    }
    match (ids.is_empty(), names.is_empty()) {
        (true, true) => Ok(ClusterChoice::All),
        (false, true) => Ok(ClusterChoice::Ids(ids)),
        (true, false) => Ok(ClusterChoice::Names(names)),
        (false, false) => Err(Problem::invalid("`clusters`: write all by name or all by id.")),
    }
}
