//! A webhook of a Harbor project, in either of its formats. Unlike Harbor's event-based policies, it names the digest, it
//! is retried, and it reports pushes that policies miss.

use serde::Deserialize;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::extract::from_part;
use crate::server::problem::Problem;

#[derive(Deserialize)]
struct EventData {
    #[serde(default)]
    resources: Vec<Resource>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Resource {
    digest: Option<String>,
    /// The digest, for an artifact without a tag: a push by digest, or an artifact that a proxy-cache project fetched.
    tag: Option<String>,
    /// Without a scheme.
    #[serde(rename = "resource_url")]
    url: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_full_name: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let kind = message.body.get("type").and_then(|kind| kind.as_str());
    let place = match kind.ok_or_else(not_harbors)? {
        "PUSH_ARTIFACT" => "event_data",
        "harbor.artifact.pushed" => "data",
        _ => {
            return Ok(HookEvent::Nothing(
                "not a push: only PUSH_ARTIFACT leads to preheats",
            ));
        }
    };
    let data = message.body.get(place).cloned().ok_or_else(not_harbors)?;
    let data: EventData = from_part(place, data)?;
    let repository = data.repository.and_then(|repository| repository.repo_full_name);
    let repository = Field::new("repository.repo_full_name", repository.as_deref());
    repository.needed()?;
    if data.resources.is_empty() {
        return Ok(HookEvent::Nothing("`resources` is empty"));
    }
    let images = data.resources.iter().map(|resource| {
        let fields = fields(resource, repository)?;
        fields.image(message.settings)
    });
    Ok(HookEvent::Pushes {
        images: images.collect::<Result<_, _>>()?,
        // CloudEvents have an id; the default format has a time.
        id: EventId::given_or_body(message.word("id")),
    })
}

/// `harbor.example.com/library/nginx:1.27`: only the host is read from the URL; other fields hold the rest.
fn fields<'a>(resource: &'a Resource, repository: Field<'a>) -> Result<ImageFields<'a>, Problem> {
    let url = Field::new("resources[].resource_url", resource.url.as_deref());
    let digest = Field::new("resources[].digest", resource.digest.as_deref());
    url.needed()?;
    digest.needed()?;
    Ok(ImageFields {
        host: Some(Field {
            value: url.value.split('/').next().unwrap_or_default(),
            ..url
        }),
        plain_http: false,
        repository,
        tag: Field::new("resources[].tag", resource.tag.as_deref()),
        digest: Some(digest),
    })
}

fn not_harbors() -> Problem {
    Problem::invalid(
        "This is no webhook of Harbor: its payload formats Default and CloudEvents are understood, Slack's is not. \
         Registries' own notifications go to /registry/notifications.",
    )
}

#[cfg(test)]
#[path = "harbor_tests.rs"]
mod tests;
