//! `POST /hooks/harbor`: a webhook of a Harbor project, in either of its formats. It tells the digest and is tried
//! again, which Harbor's own event policies are not; and it tells of pushes that these miss.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use oci::{Digest, ImageReference, Tag, TagOrDigest};
use preheat::Requester;
use serde::Deserialize;
use serde_json::Value;

use crate::server::app::App;
use crate::server::extract::{Allowed, Body, ToPreheat};
use crate::server::problem::Problem;
use crate::server::responses::{BadBody, Refusals, Trouble};
use crate::server::routes::notifications::{PassedOverPush, PushReport};
use crate::server::routes::pushed::{Pushed, delivery_of};
use crate::server::triggers::Outcome;

const SOURCE: Requester = Requester::Webhook;
/// Harbor tells of one.
const MOST_RESOURCES: usize = 100;

/// What both formats say, under different keys.
#[derive(Deserialize)]
struct Webhook {
    #[serde(rename = "type")]
    kind: String,
    /// Default format: Unix seconds.
    #[serde(default)]
    occur_at: Value,
    event_data: Option<Value>,
    /// `CloudEvents`.
    id: Option<String>,
    data: Option<Value>,
}

#[derive(Deserialize)]
struct EventData {
    #[serde(default)]
    resources: Vec<Resource>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Resource {
    digest: Option<String>,
    /// The digest, for what has no tag.
    tag: Option<String>,
    /// Without a scheme.
    #[serde(rename = "resource_url")]
    url: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_full_name: Option<String>,
}

#[utoipa::path(
    post, path = "/hooks/harbor", tag = "harbor", operation_id = "harbor_webhook",
    summary = "Receive a push event from a webhook of a Harbor project",
    description = "Accepts both payload formats, Default and CloudEvents. `PUSH_ARTIFACT` creates a preheat if a \
        `[[trigger]]` of the configuration matches the image. Every other type is answered 202 and ignored. A \
        repeated delivery creates no second preheat.",
    request_body(content = Value, description = "The webhook's payload"),
    responses((status = 202, description = "Accepted; any preheats are stored", body = PushReport), BadBody, Refusals, Trouble),
)]
pub(crate) async fn harbor(
    State(app): State<App>,
    allowed: Allowed<ToPreheat>,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<PushReport>), Problem> {
    let read = pushes_in(body).inspect_err(|_| app.count(SOURCE, Outcome::Malformed))?;
    let mut report = PushReport::default();
    match read {
        HookEvent::Pushes(pushes) => {
            for pushed in pushes {
                report.act(&app, allowed.caller.token.as_deref(), pushed).await?;
            }
        }
        HookEvent::Nothing(why) => report.nothing(PassedOverPush::nothing(&app, SOURCE, why)),
    }
    Ok((StatusCode::ACCEPTED, Json(report)))
}

#[derive(Debug, PartialEq, Eq)]
enum HookEvent {
    Pushes(Vec<Pushed>),
    Nothing(&'static str),
}

fn pushes_in(body: Value) -> Result<HookEvent, Problem> {
    let webhook: Webhook = serde_json::from_value(body).map_err(|_| not_harbors())?;
    let (data, named) = match webhook.kind.as_str() {
        "PUSH_ARTIFACT" => (webhook.event_data, webhook.occur_at.to_string()),
        "harbor.artifact.pushed" => (webhook.data, webhook.id.unwrap_or_default()),
        _ => {
            return Ok(HookEvent::Nothing(
                "not a push: only PUSH_ARTIFACT leads to preheats",
            ));
        }
    };
    let data: EventData = serde_json::from_value(data.unwrap_or_default()).map_err(|_| not_harbors())?;
    if data.resources.len() > MOST_RESOURCES {
        return Err(Problem::invalid(format!(
            "`resources` has more than {MOST_RESOURCES} entries."
        )));
    }
    let repository = data.repository.and_then(|repository| repository.repo_full_name);
    let repository = repository.ok_or_else(|| missing("repository.repo_full_name"))?;
    let mut pushes = Vec::new();
    for resource in &data.resources {
        pushes.extend(pushed(resource, &repository, &webhook.kind, &named)?);
    }
    if pushes.is_empty() {
        return Ok(HookEvent::Nothing("nothing with a tag was pushed"));
    }
    Ok(HookEvent::Pushes(pushes))
}

/// None for what has no tag.
fn pushed(resource: &Resource, repository: &str, kind: &str, named: &str) -> Result<Option<Pushed>, Problem> {
    let tag = resource.tag.as_deref().unwrap_or_default();
    if tag.is_empty() || tag.contains(':') {
        return Ok(None);
    }
    let tag: Tag = tag
        .parse()
        .map_err(|fault| Problem::invalid(format!("`resources[].tag`: {fault}.")))?;
    let url = resource
        .url
        .as_deref()
        .ok_or_else(|| missing("resources[].resource_url"))?;
    let digest = resource
        .digest
        .as_deref()
        .ok_or_else(|| missing("resources[].digest"))?;
    let image = image(url, repository, &tag, digest)?;
    Ok(Some(Pushed {
        delivery: delivery_of(SOURCE, &[kind, named, url, tag.as_str(), digest]),
        image,
        source: SOURCE,
    }))
}

/// `harbor.example.com/library/nginx:1.27`: only the host is read from the URL; other fields hold the rest.
fn image(url: &str, repository: &str, tag: &Tag, digest: &str) -> Result<ImageReference, Problem> {
    let host = url.split('/').next().unwrap_or_default();
    let manifest = format!("https://{host}/v2/{repository}/manifests/{tag}");
    let read = ImageReference::from_manifest_url(&manifest);
    let mut image = read.map_err(|_| {
        Problem::invalid(
            "`resources[].resource_url` and `repository.repo_full_name` name no image; they look like \
             harbor.example.com/library/nginx:1.27 and library/nginx.",
        )
    })?;
    let digest: Digest = digest
        .parse()
        .map_err(|fault| Problem::invalid(format!("`resources[].digest`: {fault}.")))?;
    image.wanted = TagOrDigest::Digest(digest);
    Ok(image)
}

fn missing(field: &str) -> Problem {
    Problem::invalid(format!("`{field}` is missing from the webhook."))
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
