//! `POST /hooks/{kind}`: receives a webhook of a registry. Preheats are stored before the response.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use preheat::Requester;

use super::call::HookCall;
use super::message::{HookEvent, Message};
use super::{artifactory, azure, docker_hub, ecr, gitea, github, gitlab, harbor, nexus, quay, zot};
use crate::server::app::App;
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble, Unknown};
use crate::server::routes::notifications::{PassedOverPush, PushReport, receive_events};
use crate::server::routes::pushed::Pushed;
use crate::server::triggers::{HookKind, Outcome};

const SOURCE: Requester = Requester::Webhook;
/// Products report one or a few.
const MOST_IMAGES: usize = 100;

#[utoipa::path(
    post, path = "/hooks/{kind}", tag = "harbor", operation_id = "webhook",
    summary = "Receive a push event from a webhook of a registry",
    description = "The kind is the product that sends the webhook: artifactory, azure, docker-hub, ecr, forgejo, github, \
        gitlab, gitea, harbor, nexus, quay or zot. A push creates a preheat if a `[[trigger]]` of the configuration \
        matches the image. Every other event is answered 202 with the reason. A repeated delivery creates no second \
        preheat. If a secret is configured for the kind, the product's signature is required, and a token is not.",
    params(("kind" = String, Path, description = "The product, for example `harbor`")),
    request_body(content = serde_json::Value, description = "The webhook's payload"),
    responses((status = 202, description = "Accepted; any preheats are stored", body = PushReport), BadBody, Refusals, Unknown, Trouble),
)]
pub(crate) async fn receive(
    State(app): State<App>,
    call: HookCall,
) -> Result<(StatusCode, Json<PushReport>), Problem> {
    let read = event_of(&call).inspect_err(|_| app.count(SOURCE, Outcome::Malformed))?;
    let mut report = PushReport::default();
    match read {
        HookEvent::Pushes { images, id } => {
            for image in images {
                let delivery = id.delivery(&call, &image);
                let pushed = Pushed {
                    image,
                    source: SOURCE,
                    delivery,
                };
                report.act(&app, call.caller.as_deref(), pushed).await?;
            }
        }
        HookEvent::Notifications(events) => {
            let registry = call.settings.registry.as_ref();
            report = receive_events(&app, call.caller.as_deref(), events, registry).await?;
        }
        HookEvent::Nothing(why) => report.nothing(PassedOverPush::nothing(&app, SOURCE, why)),
    }
    Ok((StatusCode::ACCEPTED, Json(report)))
}

fn event_of(call: &HookCall) -> Result<HookEvent, Problem> {
    let message = Message::of(call)?;
    let event = read(call.kind, &message)?;
    match &event {
        HookEvent::Pushes { images, .. } if images.len() > MOST_IMAGES => Err(Problem::invalid(format!(
            "The message names more than {MOST_IMAGES} images."
        ))),
        _ => Ok(event),
    }
}

/// Returns what a message says.
pub(super) fn read(kind: HookKind, message: &Message<'_>) -> Result<HookEvent, Problem> {
    match kind {
        HookKind::Artifactory => artifactory::read(message),
        HookKind::Azure => azure::read(message),
        HookKind::DockerHub => docker_hub::read(message),
        HookKind::Ecr => ecr::read(message),
        HookKind::Forgejo | HookKind::Gitea => gitea::read(message),
        HookKind::GitHub => github::read(message),
        HookKind::GitLab => gitlab::read(message),
        HookKind::Harbor => harbor::read(message),
        HookKind::Nexus => nexus::read(message),
        HookKind::Quay => quay::read(message),
        HookKind::Zot => zot::read(message),
    }
}
