//! GitLab: notifications of its registry, in distribution's form. Webhooks of projects have no event for images.

use serde_json::Value;

use super::message::{HookEvent, Message};
use crate::server::problem::Problem;

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    if message.body.get("object_kind").is_some() {
        return Ok(HookEvent::Nothing(
            "GitLab's project webhooks report no images: set registry['notifications'] in gitlab.rb to this URL",
        ));
    }
    match message.body.get("events") {
        Some(Value::Array(events)) => Ok(HookEvent::Notifications(events.clone())),
        _ => Err(Problem::invalid(
            "`events` is missing from the body: a notification of GitLab's registry is expected.",
        )),
    }
}
