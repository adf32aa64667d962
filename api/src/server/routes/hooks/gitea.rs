//! Gitea and Forgejo: the webhook event "Package". The registry is the forge itself, so its host is in the package's
//! page.

use serde::Deserialize;
use url::Url;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

#[derive(Default, Deserialize)]
struct Package {
    owner: Option<Owner>,
    name: Option<String>,
    /// A tag, or the digest of a manifest without one.
    version: Option<String>,
    html_url: Option<String>,
}

#[derive(Default, Deserialize)]
struct Owner {
    login: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let kind = message
        .body
        .pointer("/package/type")
        .and_then(|kind| kind.as_str());
    match (kind, message.word("action")) {
        (Some("container"), "created") => {}
        (Some("container"), _) => return Ok(HookEvent::Nothing("not a push: the action is not \"created\"")),
        _ => return Ok(HookEvent::Nothing("not an event of a container package")),
    }
    let package: Package = message.part("package")?;
    let page = Field::new("package.html_url", package.html_url.as_deref());
    let url = Url::parse(page.needed()?).map_err(|fault| page.invalid(fault))?;
    let owner = package.owner.unwrap_or_default();
    let owner = Field::new("package.owner.login", owner.login.as_deref()).needed()?;
    let name = Field::new("package.name", package.name.as_deref());
    // Names of users may have capitals; repositories of the registry do not.
    let repository = format!("{owner}/{}", name.needed()?).to_ascii_lowercase();
    let host = host_of(&url);
    let image = ImageFields {
        host: Some(Field { value: &host, ..page }),
        plain_http: url.scheme() == "http",
        repository: Field {
            value: &repository,
            ..name
        },
        tag: Field::new("package.version", package.version.as_deref()),
        digest: None,
    };
    let delivery = ["x-forgejo-delivery", "x-gitea-delivery"].map(|name| message.header(name));
    let delivery = delivery.into_iter().find(|id| !id.is_empty()).unwrap_or_default();
    Ok(HookEvent::one(
        image.image(message.settings)?,
        EventId::given_or_body(delivery),
    ))
}

/// Returns `host:port`, or the host if the port is the scheme's default.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
