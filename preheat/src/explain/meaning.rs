//! What a reference means now, by the registry's own word, and what that is made of.
//!
//! **Invariant:** who may only read does not make us dial a registry that nobody has configured or preheated from.

use std::time::Duration;

use oci::{ImageReference, Location, Platform, RegistryError, TagOrDigest};
use sea_orm::EntityTrait;
use tokio::time::{Instant, timeout_at};

use super::facts::{Meaning, Object};
use crate::fault::StorageError;
use crate::gather::Class;
use crate::location;
use crate::preheater::Inner;
use crate::resolve::{Reader, Trouble, Wanted, Wants, find};
use crate::rows::{preheats, seen_registries};

/// How the image's registry is reached: as its newest preheat did. None: it may not be dialled.
pub(crate) async fn location_of(
    inner: &Inner,
    image: &ImageReference,
    newest: Option<&preheats::Model>,
) -> Result<Option<Location>, StorageError> {
    if let Some(row) = newest {
        let location = location::of_preheat(inner, row);
        return location
            .map(Some)
            .map_err(|bad| StorageError::Broken(bad.to_string()));
    }
    let registry = inner.registries.canonical(&image.registry).to_string();
    let seen = seen_registries::Entity::find_by_id(&registry)
        .one(inner.reads())
        .await?;
    if seen.is_none() && !inner.registries.knows(&image.registry) {
        return Ok(None);
    }
    let named = location::of_image(inner, image).ok();
    let by_plain_http = seen.is_some_and(|seen| seen.plain_http);
    Ok(named.map(|named| {
        if by_plain_http {
            location::by_plain_http(named)
        } else {
            named
        }
    }))
}

pub(super) async fn of(
    inner: &Inner,
    location: Option<&Location>,
    wanted: &TagOrDigest,
    end: Instant,
) -> Meaning {
    let Some(location) = location else {
        let text = "it is not configured and no preheat has named it, so it was not asked";
        return Meaning::NotAsked(text.to_owned());
    };
    let reader = match Reader::new(inner, location, None).await {
        Ok(reader) => reader,
        Err(trouble) => return Meaning::NotAsked(trouble.text),
    };
    match timeout_at(end, reader.head(wanted)).await {
        Ok(Ok(head)) => Meaning::Digest(head.digest.to_string()),
        Ok(Err(error)) => of_error(&error),
        Err(_) => Meaning::Silent(late(location, inner.limits.answer_wait)),
    }
}

fn late(location: &Location, limit: Duration) -> String {
    format!(
        "{} has not answered within {} s",
        location.registry(),
        limit.as_secs_f32()
    )
}

fn of_error(error: &RegistryError) -> Meaning {
    let text = format!("{error}; {}", error.what_to_do());
    match error.status() {
        Some(404) => Meaning::Gone(error.to_string()),
        _ if error.is_outage() => Meaning::Silent(text),
        _ => Meaning::Refused(text),
    }
}

/// Every object of an image, by the registry's word, if it gives it in time.
pub(crate) async fn asked_within(
    inner: &Inner,
    location: &Location,
    wanted: &TagOrDigest,
    platforms: &[Platform],
    end: Instant,
) -> Result<(String, Vec<Object>), Trouble> {
    let reader = Reader::new(inner, location, None).await?;
    let wants = Wants {
        platforms: Wanted {
            platforms: platforms.to_vec(),
            named: false,
        },
        referrers: false,
    };
    let found = timeout_at(end, find(&reader, wanted, &wants, None, &inner.limits)).await;
    let late = |_| Trouble::of_caller(late(location, inner.limits.answer_wait));
    let found = found.map_err(late)??;
    let mut objects: Vec<(Class, Object)> = found
        .objects
        .objects()
        .iter()
        .map(|(digest, object)| {
            let is_manifest = object.class == Class::Manifest;
            let object_of = Object {
                digest: digest.to_string(),
                kind: if is_manifest {
                    wire::ObjectKind::Manifest
                } else {
                    wire::ObjectKind::Blob
                },
                media_type: object.media_type.clone(),
                size: object.size,
                platform: object.platform.as_ref().map(ToString::to_string),
            };
            (object.class, object_of)
        })
        .collect();
    objects.sort_by(|one, other| (one.0, &one.1.digest).cmp(&(other.0, &other.1.digest)));
    let objects = objects.into_iter().map(|(_, object)| object).collect();
    Ok((found.digest.to_string(), objects))
}

#[cfg(test)]
mod tests {
    use oci::{ErrorResponse, RequestedObject};

    use super::*;

    fn said(status: u16) -> (RequestedObject, ErrorResponse) {
        let asked = RequestedObject {
            registry: "h.example".parse().expect("a name"),
            object: "manifest v1 of a".to_owned(),
        };
        let words = String::new();
        (asked, ErrorResponse { status, words })
    }

    #[test]
    fn a_registry_that_answers_is_told_from_one_that_does_not() {
        let (asked, said_404) = said(404);
        assert!(matches!(
            of_error(&RegistryError::NotFound {
                asked,
                said: said_404
            }),
            Meaning::Gone(_)
        ));
        let (asked, said_401) = said(401);
        assert!(matches!(
            of_error(&RegistryError::NoCredential {
                asked,
                said: said_401
            }),
            Meaning::Refused(_)
        ));
        let (asked, said_503) = said(503);
        let down = RegistryError::ServerError {
            asked,
            said: said_503,
            retry_after: None,
        };
        assert!(matches!(of_error(&down), Meaning::Silent(_)));
        let cause = "refused".to_owned();
        let unreachable = RegistryError::Unreachable {
            asked: said(0).0,
            cause,
        };
        assert!(matches!(of_error(&unreachable), Meaning::Silent(text) if text.contains("address")));
    }
}
