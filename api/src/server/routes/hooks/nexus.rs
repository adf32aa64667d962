//! Sonatype Nexus Repository: the repository webhook's event "component". It names no host: a Docker repository has a
//! connector port, a subdomain or a path.

use serde::Deserialize;

use super::field::{Field, ImageFields, below_path};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

/// With a connector port or a subdomain, images have no path in front.
const PATH: &str = "";

#[derive(Deserialize)]
struct NexusEvent {
    #[serde(rename = "repositoryName")]
    repository: Option<String>,
    #[serde(default)]
    component: NexusComponent,
}

#[derive(Default, Deserialize)]
struct NexusComponent {
    name: Option<String>,
    /// The tag.
    version: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let format = message
        .body
        .pointer("/component/format")
        .and_then(|format| format.as_str());
    if format != Some("docker") {
        return Ok(HookEvent::Nothing("not an event of a Docker component"));
    }
    if !matches!(message.word("action"), "CREATED" | "UPDATED") {
        return Ok(HookEvent::Nothing(
            "not a push: the action is not CREATED or UPDATED",
        ));
    }
    let event: NexusEvent = message.whole()?;
    let name = Field::new("component.name", event.component.name.as_deref());
    let own = event.repository.as_deref().unwrap_or_default();
    let repository = below_path(message.settings, PATH, own, name.needed()?);
    let image = ImageFields {
        host: None,
        plain_http: false,
        repository: Field {
            value: &repository,
            ..name
        },
        tag: Field::new("component.version", event.component.version.as_deref()),
        digest: None,
    };
    Ok(HookEvent::one(
        image.image(message.settings)?,
        EventId::given_or_body(message.header("x-nexus-webhook-delivery")),
    ))
}
