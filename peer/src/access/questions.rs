//! Asks the registry with the caller's own credential, and tells its answer from trouble with one question and from a
//! host that is unreachable.
//!
//! **Invariant:** a 401, 403, 404 and 412 of the registry is believed, whatever else fails. A yes for a manifest names
//! the digest that was asked for, or the manifest was read and hashed; one for a blob tells its length, or one byte of
//! it was read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use oci::manifest::BYTES_LIMIT;
use oci::{Digest, ForwardedObject, ForwardedRequest, Location, Registry, RegistryError, TagOrDigest};
use tokio::time::timeout;
use tracing::warn;
use wire::ObjectKind;

use super::bars::Bar;
use super::decision::Kept;
use super::failure::{Asked, Failure, is_rate_limit, is_trouble};
use super::reach::PROBE_LIMIT;
use super::{Access, Answer, Told, Who};

/// How long the registry may take for one question.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// The same, where a yes may stand in for an answer that does not come.
const LIMIT_WITH_A_YES: Duration = Duration::from_secs(10);
/// After this the host is probed while the question waits, where something may stand in for an unreachable host …
const PATIENCE_WITH_A_YES: Duration = Duration::from_secs(3);
/// … and where nothing may.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a manifest may take from its headers to its end.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// What became of one question.
pub(super) enum Reply {
    Answered(reqwest::Response),
    Failed(Failure),
    Unreachable,
}

/// How long the registry may take, by what is kept.
pub(super) fn limit(kept: Kept) -> Duration {
    match kept {
        Kept::Recent | Kept::Fresh => LIMIT_WITH_A_YES,
        // An older yes stands in for an unreachable host only.
        Kept::Stale | Kept::None => LIMIT,
    }
}

/// How long a question waits before its host is probed.
pub(super) fn patience(has_something_kept: bool) -> Duration {
    if has_something_kept {
        PATIENCE_WITH_A_YES
    } else {
        PATIENCE
    }
}

impl Access {
    /// The registry's answer about this very object.
    pub(super) async fn ask_for(&self, who: &Who, digest: &Digest, kind: ObjectKind, kept: Kept) -> Answer {
        match kind {
            ObjectKind::Manifest => self.ask_for_manifest(who, digest, kept).await,
            ObjectKind::Blob => self.ask_for_blob(who, digest, kept).await,
        }
    }

    async fn ask_for_manifest(&self, who: &Who, digest: &Digest, kept: Kept) -> Answer {
        let kind = ForwardedObject::Manifest {
            wanted: TagOrDigest::Digest(digest.clone()),
        };
        let head = who.question(Method::HEAD, kind.clone(), Vec::new(), limit(kept));
        match self.ask(who, head, patience(kept != Kept::None)).await {
            Answer::Yes(told) if told.digest.as_ref() != Some(digest) => {}
            Answer::No(status) if knows_no_head(status) => {}
            answer => return answer,
        }
        // The headers do not say that it is this manifest: the bytes do.
        let whole = who.question(Method::GET, kind, Vec::new(), limit(kept));
        match self.ask_raw(who, whole, patience(kept != Kept::None)).await {
            Reply::Answered(response) if response.status().is_success() => proven(digest, response).await.1,
            reply => self.read_reply(who, reply).await,
        }
    }

    async fn ask_for_blob(&self, who: &Who, digest: &Digest, kept: Kept) -> Answer {
        let kind = ForwardedObject::Blob {
            digest: digest.clone(),
        };
        let head = who.question(Method::HEAD, kind, Vec::new(), limit(kept));
        let known = self.known_size(who.location(), digest);
        match self.ask(who, head, patience(kept != Kept::None)).await {
            Answer::Yes(told) if !is_blob(&told, known) => {}
            Answer::No(status) if knows_no_head(status) || is_refusal_of_head(status) => {}
            Answer::Failed(failure) if failure.by_storage => {}
            answer => return answer,
        }
        let kind = ForwardedObject::FirstByte {
            digest: digest.clone(),
        };
        let byte = who.question(Method::GET, kind, Vec::new(), limit(kept));
        match self.ask_raw(who, byte, patience(kept != Kept::None)).await {
            Reply::Answered(response) if response.status().is_success() => of_first_byte(&response, known),
            // The range of an object without bytes.
            Reply::Answered(response)
                if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && known == Some(0) =>
            {
                Answer::Yes(Told::default())
            }
            reply => self.read_reply(who, reply).await,
        }
    }

    /// By the object that is held, or by a manifest of this location that lists it.
    fn known_size(&self, location: &Location, digest: &Digest) -> Option<u64> {
        if *digest == Digest::of(b"") {
            return Some(0);
        }
        let held = self.store.sealed(digest).map(|sealed| sealed.size);
        held.or_else(|| self.listings.size_of(location, digest))
    }

    async fn ask(&self, who: &Who, question: ForwardedRequest, patience: Duration) -> Answer {
        let reply = self.ask_raw(who, question, patience).await;
        self.read_reply(who, reply).await
    }

    async fn read_reply(&self, who: &Who, reply: Reply) -> Answer {
        match reply {
            Reply::Answered(response) => self.read_answer(who, response).await,
            Reply::Failed(failure) => Answer::Failed(failure),
            Reply::Unreachable => Answer::Unreachable,
        }
    }

    pub(super) async fn read_answer(&self, who: &Who, response: reqwest::Response) -> Answer {
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return Answer::Barred(Bar::read(response, who.location().registry().as_str()).await);
        }
        let is_challenge = response.status() == StatusCode::UNAUTHORIZED;
        // It was shown no token, because none could be had.
        if is_challenge && who.showed_local_token && self.token_server_is_unreachable(who).await {
            return Answer::Unreachable;
        }
        Answer::of(&response)
    }

    /// The registry's answer of any status but those that answer no question.
    pub(super) async fn ask_raw(&self, who: &Who, question: ForwardedRequest, patience: Duration) -> Reply {
        let asked = asked(who, &question);
        if let Some(failure) = self.rate_limited.failure(&asked) {
            return Reply::Failed(failure);
        }
        let registry = match self.neighbours.registries().registry(&who.location().origin) {
            Ok(registry) => registry,
            Err(error) => return Reply::Failed(Failure::of_error(&error)),
        };
        let server = registry.server();
        let probe = registry.probe(PROBE_LIMIT);
        if self.reach.is_still_unreachable(&server, probe).await {
            return Reply::Unreachable;
        }
        let asking = registry.forward(question);
        let probe = registry.probe(PROBE_LIMIT);
        let answer = self.reach.unless_unreachable(&server, patience, asking, probe);
        let Some(answer) = answer.await else {
            return unreachable(&registry);
        };
        let failure = match answer {
            Ok(response) if is_trouble(response.status()) => Failure::of_response(registry.name(), &response),
            Ok(response) => {
                self.reach.answered(&server);
                if !is_rate_limit(response.status()) {
                    return Reply::Answered(response);
                }
                let failure = Failure::of_response(registry.name(), &response);
                self.rate_limited.remember(asked, &failure);
                return failed(who, failure);
            }
            Err(error) if !brought_no_headers(&error) => return failed(who, Failure::of_error(&error)),
            Err(error) => Failure::of_error(&error),
        };
        let probe = registry.probe(PROBE_LIMIT);
        if self.reach.is_unreachable(&server, probe).await {
            return unreachable(&registry);
        }
        failed(who, failure)
    }
}

fn failed(who: &Who, failure: Failure) -> Reply {
    warn!(
        stoker.registry = %who.location().registry(),
        stoker.side = failure.side.word(),
        http.response.status_code = failure.status.map(|status| status.as_u16()),
        error = failure.text,
        "registry did not answer one question"
    );
    Reply::Failed(failure)
}

fn unreachable(registry: &Registry) -> Reply {
    warn!(
        stoker.registry = %registry.name(),
        stoker.side = "network",
        server.address = registry.server(),
        "registry host is unreachable"
    );
    Reply::Unreachable
}

fn asked(who: &Who, question: &ForwardedRequest) -> Asked {
    let object = match &question.kind {
        ForwardedObject::Manifest { wanted } => format!("manifest {wanted}"),
        ForwardedObject::Blob { digest } | ForwardedObject::FirstByte { digest } => format!("blob {digest}"),
    };
    (who.shown_to_registry, who.location().clone(), object)
}

/// Errors after which the host may be unreachable. All others tell that something answered, or that we did not ask.
fn brought_no_headers(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Unreachable { .. } | RegistryError::TimedOut { .. } | RegistryError::CutShort { .. }
    )
}

fn knows_no_head(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// Proxies and storages refuse a HEAD of what they give to a GET.
fn is_refusal_of_head(status: StatusCode) -> bool {
    matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

/// Whether the headers of a 200 are a blob's.
fn is_blob(told: &Told, known: Option<u64>) -> bool {
    match (told.size, known) {
        (size, Some(known)) => size.unwrap_or(0) == known,
        (Some(_), None) => !told.is_web_page(),
        (None, None) => false,
    }
}

fn of_first_byte(response: &reqwest::Response, known: Option<u64>) -> Answer {
    let told = Told::of_first_byte(response);
    let is_range = response.status() == StatusCode::PARTIAL_CONTENT;
    let is_it = match known {
        Some(known) => is_range || told.size.unwrap_or(0) == known,
        None => !told.is_web_page(),
    };
    if is_it {
        return Answer::Yes(told);
    }
    Answer::Failed(Failure::of_registry(
        "the registry answered something else than this blob: a web page, or another length",
    ))
}

/// A manifest's bytes as far as they came, and whether the answer is one for this digest.
pub(super) async fn proven(digest: &Digest, response: reqwest::Response) -> (Option<Bytes>, Answer) {
    let told = Told::from(response.headers());
    let bytes = timeout(BODY_LIMIT, gather(response)).await.ok().flatten();
    let hashed = bytes.as_deref().map(Digest::of);
    let bytes = bytes.filter(|_| hashed.as_ref() == Some(digest));
    // Bytes that broke off are no lie: what is fetched later is proven anyway.
    if bytes.is_some() || (hashed.is_none() && told.digest.as_ref() == Some(digest)) {
        return (bytes, Answer::Yes(told));
    }
    let failure = match hashed {
        Some(_) => Failure::of_registry("the registry answered another manifest than the one asked for"),
        None => Failure::of_network("the manifest broke off, and its headers do not name its digest"),
    };
    (None, Answer::Failed(failure))
}

/// A manifest's bytes, unless they are too many or break off.
pub(super) async fn gather(mut response: reqwest::Response) -> Option<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > BYTES_LIMIT {
            return None;
        }
    }
    Some(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(size: Option<u64>, media_type: &str) -> Told {
        Told {
            size,
            media_type: Some(media_type.to_owned()),
            digest: None,
        }
    }

    #[test]
    fn a_blob_s_headers_tell_its_length_and_are_no_web_page() {
        let bytes = "application/octet-stream";
        assert!(is_blob(&told(Some(5), bytes), Some(5)));
        assert!(
            is_blob(&told(Some(5), "text/html"), Some(5)),
            "the length decides"
        );
        assert!(!is_blob(&told(Some(6), bytes), Some(5)));
        assert!(!is_blob(&told(None, bytes), Some(5)));
        assert!(is_blob(&told(Some(5), bytes), None));
        assert!(!is_blob(&told(None, bytes), None));
        assert!(!is_blob(&told(Some(5), "Text/HTML; charset=utf-8"), None));
        assert!(is_blob(&told(None, bytes), Some(0)));
    }

    #[test]
    fn only_what_brought_no_headers_asks_about_the_host() {
        let asked = || oci::RequestedObject {
            registry: "reg.lan".parse().expect("a name"),
            object: "manifest v1 of a".to_owned(),
        };
        let limit = Duration::from_secs(1);
        assert!(brought_no_headers(&RegistryError::TimedOut {
            asked: asked(),
            awaited: "answer",
            limit
        }));
        assert!(!brought_no_headers(&RegistryError::BadRedirect {
            asked: asked(),
            what: "no place".to_owned()
        }));
        assert!(!brought_no_headers(&RegistryError::NoFreeConnection {
            asked: asked(),
            limit: std::num::NonZeroU32::MIN,
            waited: limit
        }));
    }
}
