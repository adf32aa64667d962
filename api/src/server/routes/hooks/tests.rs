//! Each product's documented body, and the images that it leads to. The source stands with each body.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::message::{EventId, HookEvent, Message};
use super::receive::read;
use crate::server::problem::Problem;
use crate::server::triggers::{HookKind, HookSettings};

const DIGEST: &str = "sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498";

/// A documented message.
struct Documented {
    kind: HookKind,
    /// Names of headers with their values.
    headers: &'static [(&'static str, &'static str)],
    body: Value,
    /// Without the configured registry.
    images: Vec<&'static str>,
    /// The id that the message gives.
    id: EventId,
}

/// <https://docs.docker.com/docker-hub/repos/manage/webhooks/#example-webhook-payload>
fn docker_hub() -> Documented {
    Documented {
        kind: HookKind::DockerHub,
        headers: &[],
        body: json!({
            "callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
            "push_data": {"pushed_at": 1_417_566_161, "pusher": "trustedbuilder", "tag": "latest"},
            "repository": {
                "comment_count": 0, "date_created": 1_417_494_799, "description": "",
                "is_official": false, "is_private": true, "is_trusted": true, "name": "testhook",
                "namespace": "svendowideit", "owner": "svendowideit", "repo_name": "svendowideit/testhook",
                "repo_url": "https://registry.hub.docker.com/u/svendowideit/testhook/", "star_count": 0,
                "status": "Active"
            }
        }),
        images: vec!["docker.io/svendowideit/testhook:latest"],
        id: EventId::Body,
    }
}

/// <https://docs.redhat.com/en/documentation/red_hat_quay/3.12/html/use_red_hat_quay/repository-events>
fn quay() -> Documented {
    Documented {
        kind: HookKind::Quay,
        headers: &[],
        body: json!({
            "name": "repository", "repository": "dgangaia/test", "namespace": "dgangaia",
            "docker_url": "quay.io/dgangaia/test",
            "homepage": "https://quay.io/repository/dgangaia/repository", "updated_tags": ["latest"]
        }),
        images: vec!["quay.io/dgangaia/test:latest"],
        id: EventId::None,
    }
}

/// The form of old versions: <https://gist.github.com/jakedt/7533338>
fn old_quay() -> Documented {
    Documented {
        kind: HookKind::Quay,
        headers: &[],
        body: json!({
            "pushed_image_count": 2, "name": "ubuntu", "repository": "devtable/ubuntu",
            "docker_url": "quay.io/devtable/ubuntu",
            "updated_tags": {"latest": "b750fe79269d2ec9a3c593ef05b4332b1d1a02a62b4accb2c21d589ff2f5f2dc"},
            "namespace": "devtable", "visibility": "private",
            "homepage": "https://quay.io/repository/devtable/ubuntu"
        }),
        images: vec!["quay.io/devtable/ubuntu:latest"],
        id: EventId::None,
    }
}

/// Fields and values: `PackagePayload` and `Package` in
/// <https://github.com/go-gitea/gitea/blob/main/modules/structs/hook.go> and package.go. Forgejo has the same.
fn gitea() -> Documented {
    Documented {
        kind: HookKind::Gitea,
        headers: &[
            ("x-gitea-event", "package"),
            ("x-gitea-delivery", "f6266f16-1bf3-46a5-9ea4-602e06ead473"),
        ],
        body: json!({
            "action": "created", "repository": null,
            "package": {
                "id": 7, "owner": {"id": 1, "login": "Team", "username": "Team"}, "repository": null,
                "creator": {"id": 1, "login": "ann"}, "type": "container", "name": "tools/app", "version": "v1",
                "html_url": "https://gitea.example.com:3000/Team/-/packages/container/tools%2Fapp/v1",
                "created_at": "2026-11-21T10:18:08Z"
            },
            "organization": {"id": 1, "login": "Team"}, "sender": {"id": 1, "login": "ann"}
        }),
        images: vec!["gitea.example.com:3000/team/tools/app:v1"],
        id: EventId::Given("f6266f16-1bf3-46a5-9ea4-602e06ead473".to_owned()),
    }
}

/// The container fields of
/// <https://github.com/octokit/webhooks/blob/main/payload-examples/api.github.com/registry_package/published.docker.payload.json>
/// (there, the tag is empty).
fn github() -> Documented {
    Documented {
        kind: HookKind::GitHub,
        headers: &[
            ("x-github-event", "registry_package"),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ],
        body: json!({
            "action": "published",
            "registry_package": {
                "id": 10696, "name": "hello-world-npm", "namespace": "Codertocat/hello-world", "description": null,
                "ecosystem": "docker", "package_type": "npm",
                "html_url": "https://github.com/Codertocat/hello-world/packages/10696",
                "owner": {"login": "Codertocat", "id": 21_031_067},
                "package_version": {
                    "id": 57_755_791, "version": DIGEST, "name": DIGEST, "body": {"attributes": {}},
                    "manifest": "", "metadata": [],
                    "container_metadata": {
                        "tag": {"name": "", "digest": "sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"},
                        "labels": {}, "manifest": {}
                    },
                    "package_files": [],
                    "installation_command": "docker pull ghcr.io/Codertocat/hello-world:",
                    "package_url": "ghcr.io/Codertocat/hello-world:"
                },
                "registry": {
                    "name": "GitHub CONTAINER registry", "type": "CONTAINER",
                    "url": "https://CONTAINER.pkg.github.com/Codertocat", "vendor": "GitHub Inc"
                }
            },
            "repository": {"id": 185_882_436}, "sender": {"login": "Codertocat"}
        }),
        images: vec![
            "ghcr.io/codertocat/hello-world@sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498",
        ],
        id: EventId::Given("72d3162e-cc78-11e3-81ab-4c9367dc0958".to_owned()),
    }
}

/// <https://learn.microsoft.com/en-us/azure/container-registry/container-registry-webhook-reference> (there, letters of the
/// digest are replaced by x).
fn azure() -> Documented {
    Documented {
        kind: HookKind::Azure,
        headers: &[],
        body: json!({
            "id": "cb8c3971-9adc-488b-xxxx-43cbb4974ff5", "timestamp": "2017-11-17T16:52:01.343145347Z",
            "action": "push",
            "target": {
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 524,
                "digest": DIGEST, "length": 524, "repository": "hello-world", "tag": "v1"
            },
            "request": {
                "id": "3cbb6949-7549-4fa1-xxxx-a6d5451dffc7", "host": "myregistry.azurecr.io", "method": "PUT",
                "useragent": "docker/17.09.0-ce go/go1.8.3"
            }
        }),
        images: vec![
            "myregistry.azurecr.io/hello-world:v1@sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498",
        ],
        id: EventId::Given("cb8c3971-9adc-488b-xxxx-43cbb4974ff5".to_owned()),
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html> (there, the digest is cut).
fn ecr() -> Documented {
    Documented {
        kind: HookKind::Ecr,
        headers: &[],
        body: json!({
            "version": "0", "id": "13cde686-328b-6117-af20-0e5566167482", "detail-type": "ECR Image Action",
            "source": "aws.ecr", "account": "123456789012", "time": "2019-11-16T01:54:34Z", "region": "us-west-2",
            "resources": [],
            "detail": {
                "result": "SUCCESS", "repository-name": "my-repository-name", "image-digest": DIGEST,
                "action-type": "PUSH", "image-tag": "latest"
            }
        }),
        images: vec![
            "123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name:latest@sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498",
        ],
        id: EventId::Given("13cde686-328b-6117-af20-0e5566167482".to_owned()),
    }
}

/// Envelope and headers: <https://help.sonatype.com/en/example-headers-and-payloads.html>; the fields of a Docker component are
/// those of its payload "repository component".
fn nexus() -> Documented {
    Documented {
        kind: HookKind::Nexus,
        headers: &[
            ("x-nexus-webhook-id", "rm:repository:component"),
            ("x-nexus-webhook-delivery", "7f4a6dde-5c68-4999-bcc0-a62f3fb8ae48"),
        ],
        body: json!({
            "timestamp": "2016-11-10T23:57:49.664+0000",
            "nodeId": "52905B51-085CCABB-CEBBEAAD-16795588-FC927D93", "initiator": "admin/127.0.0.1",
            "repositoryName": "docker-hosted", "action": "CREATED",
            "component": {
                "id": "31c950c8eeeab78336308177ae9c441c",
                "componentId": "bnBtLXByb3h5OjMxYzk1MGM4ZWVlYWI3ODMzNjMwODE3N2FlOWM0NDFj",
                "format": "docker", "name": "team/app", "group": null, "version": "v1"
            }
        }),
        images: vec!["registry.lan/team/app:v1"],
        id: EventId::Given("7f4a6dde-5c68-4999-bcc0-a62f3fb8ae48".to_owned()),
    }
}

/// <https://jfrog.com/help/r/jfrog-platform-administration-documentation/domain-docker>
fn artifactory() -> Documented {
    Documented {
        kind: HookKind::Artifactory,
        headers: &[],
        body: json!({
            "repo_key": "docker-remote-cache", "event_type": "pushed",
            "path": "library/ubuntu/latest/list.manifest.json", "name": "list.manifest.json",
            "sha256": "35c4a2c15539c6c1e4e5fa4e554dac323ad0107d8eb5c582d6ff386b383b7dce", "size": 1206,
            "image_name": "library/ubuntu", "tag": "latest",
            "platforms": [{"architecture": "amd64", "os": "linux"}, {"architecture": "arm", "os": "linux"}]
        }),
        images: vec![
            "registry.lan/docker-remote-cache/library/ubuntu:latest@sha256:35c4a2c15539c6c1e4e5fa4e554dac323ad0107d8eb5c582d6ff386b383b7dce",
        ],
        id: EventId::None,
    }
}

/// The same with the envelope of <https://docs.jfrog.com/administration/docs/event-types>
fn artifactory_with_envelope() -> Documented {
    let Documented { mut body, .. } = artifactory();
    let data = body.as_object_mut().expect("an object");
    data.remove("event_type");
    Documented {
        body: json!({
            "domain": "docker", "event_type": "pushed", "data": body, "subscription_key": "test",
            "jpd_origin": "https://<your_origin>", "source": "jfrog/<your_source>"
        }),
        ..artifactory()
    }
}

/// Fields: <https://github.com/project-zot/zot/blob/main/pkg/extensions/events/events.go>, sent as a `CloudEvent` in binary mode
/// (<https://zotregistry.dev/v2.1.21/articles/events/>).
fn zot() -> Documented {
    Documented {
        kind: HookKind::Zot,
        headers: &[
            ("ce-id", "f2a8f3f0-2f1a-4c58-8b9e-8e8f1d1a9a6b"),
            ("ce-source", "zotregistry.dev"),
            ("ce-specversion", "1.0"),
            ("ce-type", "zotregistry.image.updated"),
        ],
        body: json!({
            "name": "team/app", "reference": "v1", "digest": DIGEST,
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "manifest": "{}"
        }),
        images: vec![
            "registry.lan/team/app:v1@sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498",
        ],
        id: EventId::Given("f2a8f3f0-2f1a-4c58-8b9e-8e8f1d1a9a6b".to_owned()),
    }
}

/// The same in structured mode: <https://github.com/cloudevents/spec/blob/main/cloudevents/formats/json-format.md>
fn structured_zot() -> Documented {
    let Documented { body, .. } = zot();
    Documented {
        headers: &[],
        body: json!({
            "specversion": "1.0", "id": "f2a8f3f0-2f1a-4c58-8b9e-8e8f1d1a9a6b", "source": "https://registry.example.com",
            "type": "com.example.registry.image.updated", "datacontenttype": "application/json", "data": body
        }),
        ..zot()
    }
}

fn all() -> [Documented; 12] {
    [
        docker_hub(),
        quay(),
        old_quay(),
        gitea(),
        github(),
        azure(),
        ecr(),
        nexus(),
        artifactory(),
        artifactory_with_envelope(),
        zot(),
        structured_zot(),
    ]
}

impl Documented {
    fn read_with(&self, body: Value, settings: &HookSettings) -> Result<HookEvent, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        read(
            self.kind,
            &Message {
                headers: &headers,
                body,
                settings,
            },
        )
    }

    /// With a registry only where the product names none.
    fn settings(&self) -> HookSettings {
        let registry = "registry.lan".parse().expect("a name");
        HookSettings {
            registry: (!self.kind.names_host()).then_some(registry),
            ..HookSettings::default()
        }
    }

    fn changed(&self, pointer: &str, value: Value) -> Result<HookEvent, Problem> {
        let mut body = self.body.clone();
        *body.pointer_mut(pointer).expect(pointer) = value;
        self.read_with(body, &self.settings())
    }

    fn is_nothing(&self, pointer: &str, value: Value) -> bool {
        matches!(self.changed(pointer, value), Ok(HookEvent::Nothing(_)))
    }
}

fn images_of(event: HookEvent) -> Vec<String> {
    match event {
        HookEvent::Pushes { images, .. } => images.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_documented_body_names_its_images() {
    for documented in all() {
        let event = documented.read_with(documented.body.clone(), &documented.settings());
        let event = event.unwrap_or_else(|problem| panic!("{}: {problem:?}", documented.kind));
        let HookEvent::Pushes { id, .. } = &event else {
            panic!("{}: {event:?}", documented.kind)
        };
        assert_eq!(*id, documented.id, "{}", documented.kind);
        assert_eq!(images_of(event), documented.images);
    }
}

#[test]
fn a_configured_registry_replaces_the_host_of_the_message() {
    for documented in all() {
        let settings = HookSettings {
            registry: Some("inside.lan:5000".parse().expect("a name")),
            ..HookSettings::default()
        };
        let event = documented.read_with(documented.body.clone(), &settings);
        for image in images_of(event.expect("read")) {
            assert!(image.starts_with("inside.lan:5000/"), "{image}");
        }
    }
}

#[test]
fn a_product_that_names_no_host_needs_a_configured_one() {
    for documented in all() {
        let event = documented.read_with(documented.body.clone(), &HookSettings::default());
        assert_eq!(event.is_ok(), documented.kind.names_host(), "{}", documented.kind);
    }
}

#[test]
fn other_events_lead_to_nothing() {
    assert!(gitea().is_nothing("/action", json!("deleted")));
    assert!(gitea().is_nothing("/package/type", json!("npm")));
    assert!(github().is_nothing("/registry_package/registry/type", json!("NPM")));
    assert!(github().is_nothing("/action", json!("deleted")));
    assert!(azure().is_nothing("/action", json!("ping")));
    assert!(azure().is_nothing("/action", json!("delete")));
    assert!(azure().is_nothing("/action", json!("chart_push")));
    assert!(ecr().is_nothing("/detail-type", json!("ECR Image Scan")));
    assert!(ecr().is_nothing("/detail/action-type", json!("DELETE")));
    assert!(ecr().is_nothing("/detail/result", json!("FAILURE")));
    assert!(nexus().is_nothing("/action", json!("DELETED")));
    assert!(nexus().is_nothing("/component/format", json!("npm")));
    assert!(artifactory().is_nothing("/event_type", json!("deleted")));
    assert!(artifactory_with_envelope().is_nothing("/domain", json!("artifact")));
    assert!(quay().is_nothing("/updated_tags", json!([])));
    assert!(structured_zot().is_nothing("/type", json!("zotregistry.image.deleted")));
    // A ping or a test: https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
    let ping = json!({"zen": "Design for failure.", "hook_id": 30, "hook": {"type": "Repository"}});
    for documented in [gitea(), github(), azure(), ecr(), nexus(), quay(), artifactory()] {
        let event = documented.read_with(ping.clone(), &documented.settings());
        assert!(
            matches!(event, Ok(HookEvent::Nothing(_))),
            "{}: {event:?}",
            documented.kind
        );
    }
}

#[test]
fn a_push_without_a_tag_names_its_digest() {
    for (documented, pointer, tag) in [
        (azure(), "/target/tag", json!(null)),
        (ecr(), "/detail/image-tag", json!("")),
        (zot(), "/reference", json!(DIGEST)),
        (gitea(), "/package/version", json!(DIGEST)),
        (nexus(), "/component/version", json!(DIGEST)),
    ] {
        let images = images_of(documented.changed(pointer, tag).expect("read"));
        assert!(images[0].ends_with(&format!("@{DIGEST}")), "{images:?}");
        assert_eq!(
            images[0].matches(':').count() - images[0].matches(":3000").count(),
            1,
            "{images:?}"
        );
    }
    let with_tag = github().changed(
        "/registry_package/package_version/container_metadata/tag/name",
        json!("v1"),
    );
    assert_eq!(
        images_of(with_tag.expect("read")),
        [format!("ghcr.io/codertocat/hello-world:v1@{DIGEST}")]
    );
}

#[test]
fn what_a_product_would_not_send_is_refused_with_the_field() {
    for (documented, pointer, value, field) in [
        (docker_hub(), "/push_data/tag", json!(null), "`push_data.tag`"),
        (docker_hub(), "/push_data/tag", json!(7), "`push_data.tag`"),
        (docker_hub(), "/push_data", json!("x"), "`push_data`"),
        (
            docker_hub(),
            "/repository/repo_name",
            json!("../x"),
            "`repository.repo_name`",
        ),
        (quay(), "/docker_url", json!("quay.io"), "`docker_url`"),
        (quay(), "/docker_url", json!("ann:pw@quay.io/a/b"), "`docker_url`"),
        (quay(), "/updated_tags", json!(["a b"]), "`updated_tags[]`"),
        (quay(), "/updated_tags", json!([7]), "`updated_tags`"),
        (
            gitea(),
            "/package/html_url",
            json!("/relative"),
            "`package.html_url`",
        ),
        (gitea(), "/package/owner", json!(7), "`package.owner`"),
        (gitea(), "/package/owner/login", json!("a?b"), "`package.name`"),
        (
            github(),
            "/registry_package/package_version/package_url",
            json!("x"),
            "`package_version.package_url`",
        ),
        (
            github(),
            "/registry_package/package_version/version",
            json!("sha256:12"),
            "`package_version.version`",
        ),
        (azure(), "/request/host", json!(null), "`request.host`"),
        (azure(), "/request/host", json!("a/b"), "`request.host`"),
        (azure(), "/target/digest", json!("sha256:12"), "`target.digest`"),
        (
            azure(),
            "/target/tag",
            json!(format!("sha256:{}", "0".repeat(64))),
            "`target.tag`",
        ),
        (ecr(), "/account", json!("evil.example.com/"), "`account`"),
        (ecr(), "/region", json!("us-west-2.evil.example.com#"), "`region`"),
        (nexus(), "/component/name", json!(""), "`component.name`"),
        (nexus(), "/component/version", json!({}), "`component.version`"),
        (artifactory(), "/sha256", json!("sample_checksum"), "`sha256`"),
        (zot(), "/name", json!([]), "`name`"),
        (structured_zot(), "/data/name", json!([]), "`data.name`"),
    ] {
        let refused = documented.changed(pointer, value);
        let problem = refused.expect_err(pointer);
        assert!(
            problem.detail().starts_with(field),
            "{pointer}: {}",
            problem.detail()
        );
        assert!(!problem.detail().contains("pw@"), "{}", problem.detail());
    }
}

#[test]
fn registries_in_china_have_their_own_domain() {
    let images = images_of(ecr().changed("/region", json!("cn-north-1")).expect("read"));
    assert!(
        images[0].starts_with("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/"),
        "{images:?}"
    );
}

#[test]
fn the_configured_path_stands_in_front_of_the_repository() {
    for (documented, path, expected) in [
        (nexus(), "{repository}", "registry.lan/docker-hosted/team/app:v1"),
        (nexus(), "/a/b/", "registry.lan/a/b/team/app:v1"),
        (artifactory(), "", "registry.lan/library/ubuntu:latest"),
    ] {
        let settings = HookSettings {
            path: Some(path.to_owned()),
            ..documented.settings()
        };
        let event = documented.read_with(documented.body.clone(), &settings);
        let images = images_of(event.expect("read"));
        assert!(images[0].starts_with(expected), "{images:?}");
    }
}

#[test]
fn gitlab_s_registry_sends_notifications_and_its_projects_send_no_images() {
    let read_gitlab = |body: Value| {
        read(
            HookKind::GitLab,
            &Message {
                headers: &HeaderMap::new(),
                body,
                settings: &HookSettings::default(),
            },
        )
    };
    let events = json!({"events": [{"action": "push"}]});
    assert_eq!(
        read_gitlab(events).expect("read"),
        HookEvent::Notifications(vec![json!({"action": "push"})])
    );
    // https://docs.gitlab.com/user/project/integrations/webhook_events/#tag-events
    let tag_push = json!({"object_kind": "tag_push", "event_name": "tag_push"});
    assert!(matches!(read_gitlab(tag_push), Ok(HookEvent::Nothing(_))));
    assert!(read_gitlab(json!({})).is_err() && read_gitlab(json!([])).is_err());
}
