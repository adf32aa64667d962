//! `/api/v1/images/pins`, `/removals` and `/blocks`: images that stay, go, or are kept off.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use preheat::image_rules::{Author, ImageRule, Removed, RuleError, RuleKind, find, lift, list, pin, remove};
use preheat::tokens;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::app::{App, Caller};
use crate::server::extract::{Allowed, Body, Instant, Parts, ToAdminister, ToPreheat, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble, Unknown};
use crate::server::routes::{image, owner};
use crate::server::tokens::Lifetime;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinImage {
    /// As people write it, or its manifest's URL.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// How long it stays: a number and `w`, `d`, `h` or `m`; until it is unpinned unless given.
    #[serde(rename = "for")]
    #[schema(example = "30d")]
    lifetime: Option<String>,
    /// For people.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveImage {
    /// As people write it, or its manifest's URL.
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// Refuse it from now on: preheats of it fail, and peers give it to nobody.
    #[serde(default)]
    block: bool,
    /// For people; who is refused is told.
    #[schema(example = "CVE-2026-12345")]
    reason: Option<String>,
}

/// A pin or a block.
#[derive(Serialize, ToSchema)]
#[schema(as = ImageRule)]
pub(crate) struct RuleBody {
    id: i64,
    #[schema(example = "harbor.example.com/library/nginx:1.27")]
    image: String,
    /// `null`: of this image only its name is known.
    digest: Option<String>,
    objects: u64,
    /// Name of the token.
    #[schema(example = "ci")]
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Instant,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Instant>,
    reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Pins {
    pins: Vec<RuleBody>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Blocks {
    blocks: Vec<RuleBody>,
}

/// What goes.
#[derive(Serialize, ToSchema)]
#[schema(as = Removal)]
pub(crate) struct RemovalBody {
    image: String,
    digest: Option<String>,
    /// Objects that go.
    objects: u64,
    /// Objects that stay, for other images need them.
    shared: u64,
    blocked: bool,
}

#[utoipa::path(
    post, path = "/api/v1/images/pins", tag = "images", operation_id = "pin_image",
    summary = "Keep an image on the peers that have it",
    description = "Its objects are not evicted, whatever room is needed. A pin of a tag follows the tag to what it was \
        last preheated as. Peers hear of it within seconds.",
    request_body = PinImage,
    responses((status = 201, description = "Pinned", body = RuleBody), BadBody, Unknown, Refusals, Trouble),
)]
pub(crate) async fn create_pin(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Body(body): Body<PinImage>,
) -> Result<(StatusCode, Json<RuleBody>), Problem> {
    let image = image::image("image", &body.image, str::parse)?;
    let lifetime = body.lifetime.as_deref().map(str::parse::<Lifetime>).transpose();
    let lifetime = lifetime.map_err(|fault| Problem::invalid(format!("`for`: {fault}.")))?;
    let until_ms = lifetime.map(|lifetime| {
        let length = i64::try_from(lifetime.duration().as_millis()).unwrap_or(i64::MAX);
        app.now_ms().saturating_add(length)
    });
    let author = author(&app, &allowed.caller, body.reason).await?;
    let pinned = pin(app.preheater(), &image, until_ms, author).await;
    Ok((StatusCode::CREATED, Json(pinned.map_err(not_done)?.into())))
}

#[utoipa::path(
    get, path = "/api/v1/images/pins", tag = "images", operation_id = "list_pins",
    summary = "Images that are pinned",
    responses((status = 200, description = "Newest first", body = Pins), Refusals, Trouble),
)]
pub(crate) async fn list_pins(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Pins>, Problem> {
    let pins = bodies(&app, RuleKind::Pin).await?;
    Ok(Json(Pins { pins }))
}

#[utoipa::path(
    delete, path = "/api/v1/images/pins/{id}", tag = "images", operation_id = "unpin_image",
    summary = "Unpin an image",
    description = "The token that made the pin may do this, and every token with scope `admin`.",
    params(("id" = i64, Path, description = "The pin's id, as the list has it")),
    responses((status = 204, description = "Unpinned"), Unknown, Refusals, Trouble),
)]
pub(crate) async fn delete_pin(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Parts(id): Parts<i64>,
) -> Result<StatusCode, Problem> {
    let found = find(app.preheater(), RuleKind::Pin, id).await.map_err(not_done)?;
    let made_by = found.as_ref().and_then(|pin| pin.created_by_token.as_deref());
    owner::check(&allowed.caller, made_by, "pin")?;
    lifted(&app, RuleKind::Pin, id).await
}

#[utoipa::path(
    post, path = "/api/v1/images/removals", tag = "images", operation_id = "remove_image",
    summary = "Take an image off every peer, and keep it off if asked",
    description = "Its objects go from every peer, but for those that another known image needs; peers that are away do \
        it when they are back. Blocked: preheats of it fail, and peers refuse it with 403, until the block is lifted.",
    request_body = RemoveImage,
    responses((status = 202, description = "Peers hear of it within seconds", body = RemovalBody), BadBody, Unknown,
        Refusals, Trouble),
)]
pub(crate) async fn create_removal(
    State(app): State<App>,
    allowed: Allowed<ToAdminister>,
    Body(body): Body<RemoveImage>,
) -> Result<(StatusCode, Json<RemovalBody>), Problem> {
    let image = image::image("image", &body.image, str::parse)?;
    let author = author(&app, &allowed.caller, body.reason).await?;
    let removed = remove(app.preheater(), &image, body.block, author).await;
    Ok((StatusCode::ACCEPTED, Json(removed.map_err(not_done)?.into())))
}

#[utoipa::path(
    get, path = "/api/v1/images/blocks", tag = "images", operation_id = "list_blocks",
    summary = "Images that are blocked",
    responses((status = 200, description = "Newest first", body = Blocks), Refusals, Trouble),
)]
pub(crate) async fn list_blocks(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Blocks>, Problem> {
    let blocks = bodies(&app, RuleKind::Block).await?;
    Ok(Json(Blocks { blocks }))
}

#[utoipa::path(
    delete, path = "/api/v1/images/blocks/{id}", tag = "images", operation_id = "unblock_image",
    summary = "Lift the block of an image",
    params(("id" = i64, Path, description = "The block's id, as the list has it")),
    responses((status = 204, description = "Lifted"), Unknown, Refusals, Trouble),
)]
pub(crate) async fn delete_block(
    State(app): State<App>,
    _: Allowed<ToAdminister>,
    Parts(id): Parts<i64>,
) -> Result<StatusCode, Problem> {
    lifted(&app, RuleKind::Block, id).await
}

async fn bodies(app: &App, kind: RuleKind) -> Result<Vec<RuleBody>, Problem> {
    let rules = list(app.preheater(), kind).await.map_err(not_done)?;
    Ok(rules.into_iter().map(RuleBody::from).collect())
}

async fn lifted(app: &App, kind: RuleKind, id: i64) -> Result<StatusCode, Problem> {
    if lift(app.preheater(), kind, id).await.map_err(not_done)? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found("There is none with this id."))
}

/// The token's name: ids mean nothing to those who are refused.
async fn author(app: &App, caller: &Caller, reason: Option<String>) -> Result<Author, Problem> {
    let by = match &caller.token {
        None => "somebody (no token is needed here)".to_owned(),
        Some(id) => {
            let tokens = tokens::list(app.preheater()).await?;
            let named = tokens.into_iter().find(|token| token.id == *id);
            named.map_or_else(|| id.clone(), |token| token.name)
        }
    };
    Ok(Author {
        by,
        token: caller.token.clone(),
        reason,
    })
}

fn not_done(fault: RuleError) -> Problem {
    match fault {
        RuleError::Storage(cause) => Problem::storage(&cause),
        RuleError::NotKnown { .. } | RuleError::Gone => Problem::not_found(format!("{fault}.")),
        RuleError::TooMany(_) | RuleError::TooManyOfOne(_) => Problem::invalid(format!("{fault}.")),
    }
}

impl From<ImageRule> for RuleBody {
    fn from(rule: ImageRule) -> Self {
        Self {
            id: rule.id,
            image: rule.image,
            digest: rule.digest,
            objects: rule.objects,
            created_by: rule.created_by,
            created_at: Instant::from_ms(rule.created_ms),
            until: rule.until_ms.map(Instant::from_ms),
            reason: rule.reason,
        }
    }
}

impl From<Removed> for RemovalBody {
    fn from(removed: Removed) -> Self {
        Self {
            image: removed.image,
            digest: removed.digest,
            objects: removed.objects,
            shared: removed.shared,
            blocked: removed.blocked,
        }
    }
}
