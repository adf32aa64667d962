//! `POST /oapi/v1/jobs`: stores a preheat for Harbor and answers. No registry is asked yet.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use oci::{Credential, ImageReference};
use preheat::{ClusterChoice, PeerChoice, PreheatRequest, Requester};
use serde::Deserialize;
use utoipa::ToSchema;
use wire::SecretText;

use super::{HarborJob, HarborJobState};
use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToPreheat};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble};
use crate::server::routes::harbor::registry_token;
use crate::server::routes::harbor::words::only;
use crate::server::routes::image;
use crate::types::{PeerSelection, Timestamp};

/// A job as Harbor requests it. Only `args.url` is required; unknown fields are ignored.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateJob {
    /// `preheat`, or left out.
    #[serde(rename = "type")]
    kind: Option<String>,
    args: Option<Args>,
    /// Ids of clusters; `null` means every cluster that has a seed.
    scheduler_cluster_ids: Option<Vec<i64>>,
}

#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct Args {
    /// `image`, or left out.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The manifest's URL.
    #[schema(example = "https://harbor.example.com/v2/library/nginx/manifests/1.27")]
    url: Option<String>,
    /// Only `Authorization` is used, as the credential for the registry.
    #[schema(value_type = Option<HashMap<String, String>>)]
    headers: Option<HashMap<String, SecretText>>,
    /// `single_seed_peer` (also when empty), `all_seed_peers` or `all_peers`.
    scope: Option<String>,
    /// User of the registry, instead of `headers`.
    username: Option<String>,
    #[schema(value_type = Option<String>)]
    password: Option<SecretText>,
    /// `os/architecture[/variant]`. Default: all platforms of the image.
    #[schema(example = "linux/amd64")]
    platform: Option<String>,
    /// Only peers that register from these addresses.
    ips: Option<Vec<String>>,
    /// Share of each cluster's peers, rounded up.
    #[schema(minimum = 0, maximum = 100)]
    percentage: Option<u8>,
    /// Number of peers of each cluster.
    count: Option<u32>,
    /// Time limit in nanoseconds. Default, also for 0: the manager's limit.
    timeout: Option<u64>,
}

#[utoipa::path(
    post, path = "/oapi/v1/jobs", tag = "harbor", operation_id = "create_job",
    summary = "Preheat an image (Harbor 2.12 and newer)",
    request_body = CreateJob,
    responses((status = 200, description = "Accepted; poll it", body = HarborJob), BadBody, Refusals, Trouble),
)]
pub(crate) async fn create(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Body(body): Body<CreateJob>,
) -> Result<Json<HarborJob>, Problem> {
    let request = body.parse()?;
    let id = image::submitted(&app, &allowed.caller, request).await?;
    let now = Timestamp::from_ms(app.now_ms());
    Ok(Json(HarborJob {
        id,
        kind: "preheat",
        created_at: now,
        updated_at: now,
        // Harbor takes every answer to a POST for "pending" anyway.
        state: HarborJobState::Pending,
        result: None,
    }))
}

impl CreateJob {
    fn parse(self) -> Result<PreheatRequest, Problem> {
        only("type", self.kind.as_deref(), "preheat")?;
        let args = self.args.unwrap_or_default();
        only("args.type", args.kind.as_deref(), "image")?;
        let url = args.url.as_deref().filter(|url| !url.is_empty()).ok_or_else(|| {
            Problem::invalid("`args.url` is missing: the URL of the image's manifest is needed.")
        })?;
        let image = image::image("args.url", url, ImageReference::from_manifest_url)?;
        Ok(PreheatRequest {
            scope: image::scope("args.scope", args.scope.as_deref().unwrap_or_default())?,
            clusters: match self.scheduler_cluster_ids {
                Some(ids) if !ids.is_empty() => ClusterChoice::Ids(ids),
                _ => ClusterChoice::All,
            },
            platforms: image::platforms(
                "args.platform",
                args.platform.as_deref().filter(|one| !one.is_empty()),
            )?,
            peers: args.peers()?,
            time_limit: args.timeout.filter(|limit| *limit > 0).map(Duration::from_nanos),
            credential: args.credential()?,
            ..PreheatRequest::new(image, Requester::Harbor)
        })
    }
}

impl Args {
    /// A zero or empty value counts as left out.
    fn peers(&self) -> Result<PeerChoice, Problem> {
        let peers = PeerSelection {
            count: self.count.filter(|count| *count > 0),
            percent: self.percentage.filter(|percent| *percent > 0),
            addresses: self.ips.clone().filter(|addresses| !addresses.is_empty()),
        };
        peers.read()
    }

    fn credential(&self) -> Result<Option<Credential>, Problem> {
        if let Some(username) = self.username.as_deref().filter(|name| !name.is_empty()) {
            let password = self.password.as_ref().map_or("", SecretText::expose);
            return image::basic("args.username", username, password).map(Some);
        }
        registry_token::among("args.headers", self.headers.as_ref())
    }
}
