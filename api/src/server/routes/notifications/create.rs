//! `POST /registry/notifications`: receives push events. Preheats are stored before the response.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::{PushReport, distribution, kraken};
use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToPreheat};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble};

#[utoipa::path(
    post, path = "/registry/notifications", tag = "harbor", operation_id = "notify",
    summary = "Receive push events from Harbor's provider \"Kraken\" or from a registry",
    description = "The envelope tells the two apart: `{\"Events\": [{\"Id\": …}]}` comes from Kraken, \
        `{\"events\": [{\"id\": …}]}` from distribution (docker-registry). A push of a tag creates a preheat if a \
        `[[trigger]]` of the configuration matches it; a push from Kraken always does. A registry repeats an event \
        until it gets a success status, so an event that cannot be used is answered 200 with the reason. A \
        repeated event creates no second preheat.",
    request_body(content = Value, description = "The envelope with the events"),
    responses(
        (status = 200, description = "Accepted; any preheats are stored", body = PushReport),
        (status = 502, description = "Kraken only: the preheat failed within a few seconds", body = Problem,
         content_type = "application/problem+json"),
        BadBody, Refusals, Trouble,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Body(envelope): Body<Value>,
) -> Result<Json<PushReport>, Problem> {
    let caller = allowed.caller.token.as_deref();
    let Value::Object(mut envelope) = envelope else {
        return Err(neither());
    };
    let report = match (envelope.remove("events"), envelope.remove("Events")) {
        (Some(Value::Array(events)), _) => distribution::receive(&app, caller, events, None).await?,
        (None, Some(Value::Array(events))) => kraken::receive(&app, caller, events).await?,
        _ => return Err(neither()),
    };
    Ok(Json(report))
}

fn neither() -> Problem {
    Problem::invalid(
        "The body is no envelope of events: `{\"events\": […]}` from a registry or `{\"Events\": […]}` from Harbor's \
         provider \"Kraken\" is expected. Harbor's webhooks go to /hooks/harbor.",
    )
}
