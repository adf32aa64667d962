//! GitHub's container registry: the webhook events `registry_package` and `package`.

use serde::Deserialize;

use super::field::{Field, ImageFields};
use super::message::{EventId, HookEvent, Message};
use crate::server::problem::Problem;

#[derive(Deserialize)]
struct RegistryPackage {
    package_version: Option<PackageVersion>,
}

#[derive(Default, Deserialize)]
struct PackageVersion {
    /// The digest.
    version: Option<String>,
    container_metadata: Option<ContainerMetadata>,
    /// `ghcr.io/OWNER/NAME:TAG`
    package_url: Option<String>,
}

#[derive(Default, Deserialize)]
struct ContainerMetadata {
    tag: Option<ContainerTag>,
}

#[derive(Default, Deserialize)]
struct ContainerTag {
    /// Empty for a manifest without a tag.
    name: Option<String>,
}

pub(super) fn read(message: &Message<'_>) -> Result<HookEvent, Problem> {
    let keys = ["registry_package", "package"];
    let Some(key) = keys.into_iter().find(|key| message.body.get(*key).is_some()) else {
        return Ok(HookEvent::Nothing("not an event of a package"));
    };
    if !is_container(message, key) {
        return Ok(HookEvent::Nothing("not an event of a container package"));
    }
    if !matches!(message.word("action"), "published" | "updated") {
        return Ok(HookEvent::Nothing("not a push: the action is not \"published\""));
    }
    let package: RegistryPackage = message.part(key)?;
    let version = package.package_version.unwrap_or_default();
    let url = Field::new("package_version.package_url", version.package_url.as_deref());
    let (host, repository) = split(url)?;
    let tag = version.container_metadata.and_then(|metadata| metadata.tag);
    let tag = tag.and_then(|tag| tag.name);
    let image = ImageFields {
        host: Some(Field { value: host, ..url }),
        plain_http: false,
        repository: Field {
            value: &repository,
            ..url
        },
        tag: Field::new("package_version.container_metadata.tag.name", tag.as_deref()),
        digest: Some(Field::new("package_version.version", version.version.as_deref())),
    };
    Ok(HookEvent::one(
        image.image(message.settings)?,
        EventId::given_or_body(message.header("x-github-delivery")),
    ))
}

fn is_container(message: &Message<'_>, key: &str) -> bool {
    let paths = ["package_type", "ecosystem", "registry/type"];
    paths.into_iter().any(|path| {
        let kind = message.body.pointer(&format!("/{key}/{path}"));
        kind.and_then(|kind| kind.as_str())
            .is_some_and(|kind| kind.eq_ignore_ascii_case("container"))
    })
}

/// Returns host and repository. Names of users may have capitals; repositories of the registry do not.
fn split(url: Field<'_>) -> Result<(&str, String), Problem> {
    let (host, rest) = url
        .needed()?
        .split_once('/')
        .ok_or_else(|| url.invalid("write host/owner/name:tag"))?;
    let repository = rest.split([':', '@']).next().unwrap_or_default();
    Ok((host, repository.to_ascii_lowercase()))
}
