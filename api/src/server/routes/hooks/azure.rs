//! Azure Container Registry: a webhook of the registry. Headers are configured there, so a token comes in one.

use serde::Deserialize;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

#[derive(Deserialize)]
struct AzurePush {
    #[serde(default)]
    target: AzureTarget,
    #[serde(default)]
    request: AzureRequest,
}

#[derive(Default, Deserialize)]
struct AzureTarget {
    digest: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
}

#[derive(Default, Deserialize)]
struct AzureRequest {
    host: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    if message.body.is_array() {
        return Err(Problem::invalid(
            "The body is a list, as Event Grid sends it: use a webhook of the registry instead of an event subscription.",
        ));
    }
    if message.word("action") != "push" {
        return Ok(HookEvent::Nothing("not a push of an image"));
    }
    let push: AzurePush = message.whole()?;
    let image = ImageFields {
        host: Some(Field::new("request.host", push.request.host.as_deref())),
        plain_http: false,
        repository: Field::new("target.repository", push.target.repository.as_deref()),
        tag: Field::new("target.tag", push.target.tag.as_deref()),
        digest: Some(Field::new("target.digest", push.target.digest.as_deref())),
    };
    Ok(HookEvent::one(
        image.image(message.settings)?,
        EventId::given_or_body(message.word("id")),
    ))
}
