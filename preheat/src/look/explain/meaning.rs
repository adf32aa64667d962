//! Asks the registry for the current digest of a reference.
//!
//! **Invariant:** a caller with only read access cannot make the manager dial a registry that is neither configured nor
//! named by a preheat.

use oci::{Location, RegistryError, TagOrDigest};
use tokio::time::{Instant, timeout_at};

use super::facts::Meaning;
use crate::engine::preheater::Inner;
use crate::image::contents::late;
use crate::image::reader::Reader;

pub(super) async fn of(
    inner: &Inner,
    location: Option<&Location>,
    wanted: &TagOrDigest,
    end: Instant,
) -> Meaning {
    let Some(location) = location else {
        let text = "the registry is neither configured nor named by a preheat, so it was not asked";
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

fn of_error(error: &RegistryError) -> Meaning {
    let text = format!("{error}; {}", error.what_to_do());
    match error.status() {
        Some(404) => Meaning::Gone(error.to_string()),
        _ if error.is_outage() => Meaning::Silent(text),
        _ => Meaning::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use oci::{ErrorResponse, RequestedObject};

    use super::*;

    fn response(status: u16) -> (RequestedObject, ErrorResponse) {
        let asked = RequestedObject {
            registry: "h.example".parse().expect("a name"),
            object: "manifest v1 of a".to_owned(),
        };
        let words = String::new();
        (asked, ErrorResponse { status, words })
    }

    #[test]
    fn a_refusal_and_an_outage_of_a_registry_differ() {
        let (asked, said_404) = response(404);
        assert!(matches!(
            of_error(&RegistryError::NotFound {
                requested: asked,
                response: said_404
            }),
            Meaning::Gone(_)
        ));
        let (asked, said_401) = response(401);
        assert!(matches!(
            of_error(&RegistryError::NoCredential {
                requested: asked,
                response: said_401
            }),
            Meaning::Refused(_)
        ));
        let (asked, said_503) = response(503);
        let down = RegistryError::ServerError {
            requested: asked,
            response: said_503,
            retry_after: None,
        };
        assert!(matches!(of_error(&down), Meaning::Silent(_)));
        let cause = oci::ConnectFault::Other("refused".to_owned());
        let unreachable = RegistryError::Unreachable {
            requested: response(0).0,
            cause,
        };
        assert!(matches!(of_error(&unreachable), Meaning::Silent(_)));
    }
}
