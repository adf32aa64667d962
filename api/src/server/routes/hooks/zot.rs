//! zot: the event `image.updated` of its events extension. It is a `CloudEvent`, in the headers of the request (binary
//! mode) or in the body (structured mode). It names no host.

use serde::Deserialize;
use serde_json::Value;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::extract::from_part;
use crate::server::problem::Problem;

#[derive(Deserialize)]
struct ImageUpdated {
    name: Option<String>,
    /// A tag, or the digest of a manifest that was pushed without one.
    reference: Option<String>,
    digest: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let in_headers = message.header("ce-type");
    let (kind, id, place, data) = if in_headers.is_empty() {
        let data = message.body.get("data").cloned().unwrap_or(Value::Null);
        (message.word("type"), message.word("id"), "data", data)
    } else {
        (in_headers, message.header("ce-id"), "", message.body.clone())
    };
    // The prefix can be configured; the default is `zotregistry.`.
    if !kind.ends_with("image.updated") {
        return Ok(HookEvent::Nothing("not a push: the event is not `image.updated`"));
    }
    let image: ImageUpdated = from_part(place, data)?;
    let fields = ImageFields {
        host: None,
        plain_http: false,
        repository: Field::new("name", image.name.as_deref()),
        tag: Field::new("reference", image.reference.as_deref()),
        digest: Some(Field::new("digest", image.digest.as_deref())),
    };
    Ok(HookEvent::one(
        fields.image(message.settings)?,
        EventId::given_or_body(id),
    ))
}
