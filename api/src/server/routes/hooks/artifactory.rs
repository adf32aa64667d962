//! `JFrog` Artifactory: the event "Docker tag was pushed". It names no host, no id and no time.

use serde::Deserialize;

use super::field::{Field, ImageFields, below_path};
use super::message::{EventId, HookEvent, Message};
use crate::server::extract::from_part;
use crate::server::problem::Problem;

/// The repository path method; with the subdomain or port method, images have no path in front.
const PATH: &str = "{repository}";

#[derive(Deserialize)]
struct DockerPush {
    repo_key: Option<String>,
    image_name: Option<String>,
    tag: Option<String>,
    /// The digits of the manifest's digest.
    sha256: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    // The documentation shows the event with and without its envelope.
    let (place, data) = match message.body.get("data") {
        Some(data) => ("data", data),
        None => ("", &message.body),
    };
    if !matches!(message.word("domain"), "docker" | "") || data.get("image_name").is_none() {
        return Ok(HookEvent::Nothing("not an event of a Docker image"));
    }
    if message.word("event_type") != "pushed" {
        return Ok(HookEvent::Nothing("not a push: the event is not \"pushed\""));
    }
    let push: DockerPush = from_part(place, data.clone())?;
    let name = Field::new("image_name", push.image_name.as_deref());
    let own = push.repo_key.as_deref().unwrap_or_default();
    let repository = below_path(message.settings, PATH, own, name.needed()?);
    let digest = push.sha256.map(|digits| format!("sha256:{digits}"));
    let image = ImageFields {
        host: None,
        plain_http: false,
        repository: Field {
            value: &repository,
            ..name
        },
        tag: Field::new("tag", push.tag.as_deref()),
        digest: Some(Field::new("sha256", digest.as_deref())),
    };
    Ok(HookEvent::one(image.image(message.settings)?, EventId::None))
}
