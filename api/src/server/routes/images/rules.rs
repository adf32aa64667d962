//! `/api/v1/images/pins`, `/removals` and `/blocks`: images that stay, go, or are kept off.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use preheat::image_rules::{Author, RuleError, RuleKind, find, lift, list, pin, remove};
use preheat::tokens;

use crate::server::app::{App, Caller};
use crate::server::extract::{Allowed, Body, Parts, ToAdminister, ToPreheat, ToRead};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble, Unknown};
use crate::server::routes::{image, owner};
use crate::server::tokens::Lifetime;
use crate::types::{Blocks, PinImage, Pins, RemovalBody, RemoveImage, RuleBody};

#[utoipa::path(
    post, path = "/api/v1/images/pins", tag = "images", operation_id = "pin_image",
    summary = "Pin an image: peers that have it keep it",
    description = "Peers do not evict its objects. A pin of a tag always covers the digest that the tag was last \
        preheated as. Peers apply it within seconds.",
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
    summary = "List the pinned images",
    responses((status = 200, description = "Newest first", body = Pins), Refusals, Trouble),
)]
pub(crate) async fn list_pins(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Pins>, Problem> {
    let pins = bodies(&app, RuleKind::Pin).await?;
    Ok(Json(Pins { pins }))
}

#[utoipa::path(
    delete, path = "/api/v1/images/pins/{id}", tag = "images", operation_id = "unpin_image",
    summary = "Unpin an image",
    description = "Allowed for the token that made the pin and for tokens with scope `admin`.",
    params(("id" = i64, Path, description = "Id of the pin, from the list")),
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
    summary = "Remove an image from all peers, and block it on request",
    description = "Peers remove its objects, except those that another known image needs. A disconnected peer does \
        so when it reconnects. While an image is blocked, preheats of it fail and peers answer pulls of it with \
        403.",
    request_body = RemoveImage,
    responses((status = 202, description = "Accepted; peers apply it within seconds", body = RemovalBody), BadBody, Unknown,
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
    summary = "List the blocked images",
    responses((status = 200, description = "Newest first", body = Blocks), Refusals, Trouble),
)]
pub(crate) async fn list_blocks(State(app): State<App>, _: Allowed<ToRead>) -> Result<Json<Blocks>, Problem> {
    let blocks = bodies(&app, RuleKind::Block).await?;
    Ok(Json(Blocks { blocks }))
}

#[utoipa::path(
    delete, path = "/api/v1/images/blocks/{id}", tag = "images", operation_id = "unblock_image",
    summary = "Unblock an image",
    params(("id" = i64, Path, description = "Id of the block, from the list")),
    responses((status = 204, description = "Unblocked"), Unknown, Refusals, Trouble),
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

/// The name of the token, because refused callers do not know ids.
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
