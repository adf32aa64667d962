//! Quay: a repository notification of the event "Push to Repository". It has no secret, no id and no time.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

#[derive(Deserialize)]
struct QuayPush {
    docker_url: Option<String>,
    updated_tags: Option<UpdatedTags>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum UpdatedTags {
    Names(Vec<String>),
    /// Old versions: tags with the ids of their images, which are no digests.
    Ids(BTreeMap<String, String>),
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let push: QuayPush = message.whole()?;
    let tags = match push.updated_tags {
        Some(UpdatedTags::Names(names)) => names,
        Some(UpdatedTags::Ids(ids)) => ids.into_keys().collect(),
        None => return Ok(HookEvent::Nothing("not a push: `updated_tags` is missing")),
    };
    if tags.is_empty() {
        return Ok(HookEvent::Nothing("`updated_tags` is empty"));
    }
    let url = Field::new("docker_url", push.docker_url.as_deref());
    let (host, repository) = url
        .needed()?
        .split_once('/')
        .ok_or_else(|| url.invalid("write host/namespace/repository"))?;
    let images = tags.iter().map(|tag| {
        let fields = ImageFields {
            host: Some(Field { value: host, ..url }),
            plain_http: false,
            repository: Field {
                value: repository,
                ..url
            },
            tag: Field::new("updated_tags[]", Some(tag)),
            digest: None,
        };
        fields.image(message.settings)
    });
    Ok(HookEvent::Pushes {
        images: images.collect::<Result<_, _>>()?,
        id: EventId::None,
    })
}
