//! `POST /preheats`: stores a preheat for Harbor and answers. No registry is asked yet.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use oci::{Digest, ImageReference};
use preheat::{PreheatRequest, Requester};
use serde::Deserialize;
use utoipa::ToSchema;
use wire::SecretText;

use super::Accepted;
use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToPreheat};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble};
use crate::server::routes::harbor::registry_token;
use crate::server::routes::harbor::words::only;
use crate::server::routes::image;

/// A preheat as Harbor requests it. Only `url` is required; unknown fields are ignored.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CreatePreheatForHarbor {
    /// `image`, or left out.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The manifest's URL.
    #[schema(example = "https://harbor.example.com/v2/library/nginx/manifests/1.27")]
    url: Option<String>,
    /// Only `Authorization` is used, as the credential for the registry.
    #[schema(value_type = Option<HashMap<String, String>>)]
    headers: Option<HashMap<String, SecretText>>,
    /// Digest that the tag meant to Harbor. If given, this digest is preheated.
    #[schema(example = "sha256:d4c090dd50c1f701e33cbc803ea1352e04f67b2f5c6776ec7826d94003079430")]
    digest: Option<String>,
}

#[utoipa::path(
    post, path = "/preheats", tag = "harbor", operation_id = "create_preheat_for_harbor",
    summary = "Preheat an image (Harbor 2.1 to 2.11)",
    request_body = CreatePreheatForHarbor,
    responses((status = 200, description = "Accepted; poll it", body = Accepted), BadBody, Refusals, Trouble),
)]
pub(crate) async fn create(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Body(body): Body<CreatePreheatForHarbor>,
) -> Result<Json<Accepted>, Problem> {
    let request = body.parse()?;
    let id = image::submitted(&app, &allowed.caller, request).await?;
    Ok(Json(Accepted { id: id.to_string() }))
}

impl CreatePreheatForHarbor {
    fn parse(self) -> Result<PreheatRequest, Problem> {
        only("type", self.kind.as_deref(), "image")?;
        let url = self.url.as_deref().filter(|url| !url.is_empty()).ok_or_else(|| {
            Problem::invalid("`url` is missing: the URL of the image's manifest is needed.")
        })?;
        let mut image = image::image("url", url, ImageReference::from_manifest_url)?;
        if let Some(digest) = self.digest.as_deref().filter(|digest| !digest.is_empty()) {
            pin(&mut image, digest)?;
        }
        Ok(PreheatRequest {
            credential: registry_token::among("headers", self.headers.as_ref())?,
            ..PreheatRequest::new(image, Requester::Harbor)
        })
    }
}

/// The tag in the URL may have moved on since Harbor looked; another digest in the URL is a contradiction.
fn pin(image: &mut ImageReference, digest: &str) -> Result<(), Problem> {
    let digest: Digest = digest
        .parse()
        .map_err(|fault| Problem::invalid(format!("`digest`: {fault}.")))?;
    image
        .pin(digest)
        .map_err(|_| Problem::invalid("`url` and `digest` name different digests: one of them is wrong."))
}
