//! Notifications of distribution (docker-registry): one event for each blob and manifest that is pushed, pulled or
//! deleted. Only a manifest that is pushed under a tag is an image.

use oci::{Digest, ImageReference, RegistryName, Tag};
use preheat::Requester;
use serde::Deserialize;
use serde_json::Value;

use super::{PassedOverPush, PushReport};
use crate::server::app::App;
use crate::server::extract::from_part;
use crate::server::problem::Problem;
use crate::server::routes::pushed::{Pushed, delivery_named};

const SOURCE: Requester = Requester::Notification;
/// Registries send one at a time.
const MOST_EVENTS: usize = 1000;

#[derive(Deserialize)]
struct RegistryEvent {
    id: Option<String>,
    timestamp: Option<String>,
    action: Option<String>,
    target: Option<RegistryTarget>,
    request: Option<PushRequest>,
}

/// The request that pushed the image.
#[derive(Default, Deserialize)]
struct PushRequest {
    host: Option<String>,
}

#[derive(Default, Deserialize)]
struct RegistryTarget {
    digest: Option<String>,
    url: Option<String>,
    tag: Option<String>,
}

/// What an event means.
#[derive(Debug, PartialEq, Eq)]
enum RegistryEventKind {
    Pushed(Pushed),
    Nothing(&'static str),
    Malformed(String),
}

/// Acts on each event. Storage that fails ends it: the registry tells all of them again, and what has led to a preheat
/// leads to no second one. `registry` replaces the host of the messages.
pub(in crate::server::routes) async fn receive(
    app: &App,
    caller: Option<&str>,
    events: Vec<Value>,
    registry: Option<&RegistryName>,
) -> Result<PushReport, Problem> {
    if events.len() > MOST_EVENTS {
        return Err(Problem::invalid(format!(
            "`events` has more than {MOST_EVENTS} entries: send them in parts."
        )));
    }
    let mut report = PushReport::default();
    for event in events {
        match meaning_of(event, registry) {
            RegistryEventKind::Pushed(pushed) => report.act(app, caller, pushed).await?,
            RegistryEventKind::Nothing(why) => report.nothing(PassedOverPush::nothing(app, SOURCE, why)),
            RegistryEventKind::Malformed(why) => report.nothing(PassedOverPush::malformed(app, SOURCE, &why)),
        }
    }
    Ok(report)
}

fn meaning_of(event: Value, registry: Option<&RegistryName>) -> RegistryEventKind {
    let event: RegistryEvent = match from_part("events[]", event) {
        Ok(event) => event,
        Err(problem) => return RegistryEventKind::Malformed(problem.detail().to_owned()),
    };
    if event.action.as_deref() != Some("push") {
        return RegistryEventKind::Nothing("not a push");
    }
    let target = event.target.unwrap_or_default();
    let Some(tag) = target.tag.as_deref().filter(|tag| !tag.is_empty()) else {
        return RegistryEventKind::Nothing("not a tag");
    };
    let host = event.request.and_then(|request| request.host);
    let host = registry.map(ToString::to_string).or(host);
    let named = absolute(target.url.unwrap_or_default(), host)
        .and_then(|url| image(&url, tag, target.digest.as_deref()).map(|image| (url, image)));
    match named {
        Ok((url, image)) => RegistryEventKind::Pushed(Pushed {
            delivery: Some(delivery_named(
                SOURCE,
                event.id.as_deref().unwrap_or_default(),
                &[event.timestamp.as_deref().unwrap_or_default(), &url, tag],
            )),
            image: at(image, registry),
            source: SOURCE,
        }),
        Err(why) => RegistryEventKind::Malformed(why),
    }
}

/// A configured registry replaces the one of the message.
fn at(image: ImageReference, registry: Option<&RegistryName>) -> ImageReference {
    match registry {
        Some(registry) => ImageReference {
            registry: registry.clone(),
            plain_http: false,
            ..image
        },
        None => image,
    }
}

/// Adds the host that the pusher named to the relative URL of a registry with `http.relativeurls`. Such a URL has no
/// scheme either; for a configured registry, the configuration decides it.
fn absolute(url: String, host: Option<String>) -> Result<String, String> {
    if !url.starts_with('/') || url.starts_with("//") {
        return Ok(url);
    }
    let host = host.filter(|host| !host.is_empty()).ok_or(
        "target.url is relative and request.host is missing: set http.host, or http.relativeurls: false, in the \
         registry's configuration",
    )?;
    let host: RegistryName = host.parse().map_err(|fault| format!("request.host: {fault}"))?;
    Ok(format!("https://{host}{url}"))
}

/// The URL names the manifest by digest; another field holds the tag.
fn image(url: &str, tag: &str, digest: Option<&str>) -> Result<ImageReference, String> {
    let mut image = ImageReference::from_manifest_url(url).map_err(|fault| format!("target.url: {fault}"))?;
    let tag: Tag = tag.parse().map_err(|fault| format!("target.tag: {fault}"))?;
    if let Some(digest) = digest.filter(|digest| !digest.is_empty()) {
        let digest: Digest = digest
            .parse()
            .map_err(|fault| format!("target.digest: {fault}"))?;
        image
            .pin(digest)
            .map_err(|_| "target.url and target.digest name different digests".to_owned())?;
    }
    image.tag = Some(tag);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf";

    fn event() -> Value {
        // As docker-registry 2.8 sends it.
        json!({
            "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
            "timestamp": "2026-11-21T14:44:26.402973972Z",
            "action": "push",
            "target": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": 708,
                "digest": DIGEST,
                "length": 708,
                "repository": "library/app",
                "url": format!("http://127.0.0.1:5000/v2/library/app/manifests/{DIGEST}"),
                "tag": "v1"
            },
            "request": {"id": "6df24a34", "addr": "127.0.0.1:1", "host": "127.0.0.1:5000", "method": "PUT", "useragent": "skopeo"},
            "actor": {},
            "source": {"addr": "registry:5000", "instanceID": "a53db899"}
        })
    }

    fn with(change: impl FnOnce(&mut Value)) -> RegistryEventKind {
        let mut event = event();
        change(&mut event);
        meaning_of(event, None)
    }

    #[test]
    fn a_pushed_tag_is_an_image_by_digest_with_its_tag() {
        let RegistryEventKind::Pushed(pushed) = meaning_of(event(), None) else {
            panic!("not understood")
        };
        assert_eq!(
            pushed.image.to_string(),
            format!("127.0.0.1:5000/library/app:v1@{DIGEST}")
        );
        assert_eq!(
            pushed.delivery,
            Some("notification:320678d8-ca14-430f-8bb6-4ca139cd83f7".to_owned())
        );
    }

    #[test]
    fn a_relative_url_gets_the_host_of_the_pushing_request() {
        let relative = |event: &mut Value| {
            event["target"]["url"] = json!(format!("/v2/library/app/manifests/{DIGEST}"));
        };
        let RegistryEventKind::Pushed(pushed) = with(relative) else {
            panic!("not understood")
        };
        assert_eq!(
            pushed.image.to_string(),
            format!("127.0.0.1:5000/library/app:v1@{DIGEST}")
        );
        for host in [
            json!(null),
            json!(""),
            json!("a b"),
            json!("ann:pw@h"),
            json!("h/v2/x"),
        ] {
            let odd = with(|event| {
                relative(event);
                event["request"]["host"] = host.clone();
            });
            assert!(matches!(odd, RegistryEventKind::Malformed(_)), "{host}: {odd:?}");
        }
    }

    #[test]
    fn blobs_pulls_and_deletions_are_nothing() {
        assert_eq!(
            with(|event| event["action"] = json!("pull")),
            RegistryEventKind::Nothing("not a push")
        );
        assert_eq!(
            with(|event| event["action"] = json!(null)),
            RegistryEventKind::Nothing("not a push")
        );
        assert_eq!(
            with(|event| event["target"]["tag"] = json!("")),
            RegistryEventKind::Nothing("not a tag")
        );
        assert_eq!(
            with(|event| event["target"] = json!(null)),
            RegistryEventKind::Nothing("not a tag")
        );
    }

    #[test]
    fn an_event_that_cannot_be_an_image_is_not_an_empty_one() {
        let url = |url: &str| json!(url);
        for odd in [
            with(|event| event["target"]["url"] = json!(null)),
            with(|event| event["target"]["url"] = url("http://ann:pw@h/v2/a/manifests/v1")),
            with(|event| event["target"]["url"] = url("http://h/v2/../a/manifests/v1")),
            with(|event| event["target"]["url"] = url("http://h/v2/a/blobs/x")),
            with(|event| event["target"]["tag"] = json!("a b")),
            with(|event| event["target"]["digest"] = json!("sha256:12")),
            with(|event| event["target"]["digest"] = json!(format!("sha256:{}", "0".repeat(64)))),
            with(|event| event["target"] = json!([])),
            with(|event| event["id"] = json!(7)),
            meaning_of(json!("push"), None),
        ] {
            assert!(matches!(odd, RegistryEventKind::Malformed(_)), "{odd:?}");
        }
    }
}
