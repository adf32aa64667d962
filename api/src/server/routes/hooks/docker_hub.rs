//! Docker Hub: a webhook of one repository. It has one event, a push of a tag, and no secret. Its `callback_url` is not
//! called.

use serde::Deserialize;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

const HOST: &str = "docker.io";

#[derive(Deserialize)]
struct HubPush {
    #[serde(default)]
    push_data: PushData,
    #[serde(default)]
    repository: HubRepository,
}

#[derive(Default, Deserialize)]
struct PushData {
    tag: Option<String>,
}

#[derive(Default, Deserialize)]
struct HubRepository {
    repo_name: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let push: HubPush = message.whole()?;
    let name = Field::new("repository.repo_name", push.repository.repo_name.as_deref());
    let with_namespace = match name.needed()? {
        name if name.contains('/') => name.to_owned(),
        official => format!("library/{official}"),
    };
    let image = ImageFields {
        host: Some(Field::new("host", Some(HOST))),
        plain_http: false,
        repository: Field {
            value: &with_namespace,
            ..name
        },
        tag: Field::new("push_data.tag", push.push_data.tag.as_deref()),
        digest: None,
    };
    // `pushed_at` tells one push from the next.
    Ok(HookEvent::one(image.image(message.settings)?, EventId::Body))
}
