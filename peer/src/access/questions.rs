//! Asks the registry with the caller's own credential. Distinguishes an answer, a failed question, and an unreachable
//! host.
//!
//! **Invariant:** a 401, 403, 404 and 412 of the registry always counts. A manifest is granted only by a response that
//! names its digest, or whose body was hashed; a blob only by one with its length, or after one byte was read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use oci::manifest::BYTES_LIMIT;
use oci::{
    Digest, ForwardedObject, ForwardedRequest, Location, ManifestBody, Registry, RegistryError, TagOrDigest,
};
use tokio::time::timeout;
use tracing::warn;
use wire::ObjectKind;

use super::answer::{ObjectInfo, RegistryAnswer};
use super::bars::Bar;
use super::caller::Caller;
use super::decision::GrantAge;
use super::failure::{Failure, QuestionKey, is_rate_limit, is_trouble};
use super::reach::PROBE_LIMIT;
use super::state::Access;

/// For one question, unless the registry's headers may take longer.
const LIMIT: Duration = Duration::from_secs(60);
/// For one question, where a kept grant counts if it fails.
const LIMIT_WITH_GRANT: Duration = Duration::from_secs(10);
/// After this the host is probed while the question runs, if something kept counts for an unreachable host.
const PATIENCE_WITH_GRANT: Duration = Duration::from_secs(3);
/// The same, if nothing kept counts.
const PATIENCE: Duration = Duration::from_secs(20);

/// For a manifest's body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// The outcome of one question.
pub(super) enum QuestionOutcome {
    Answered(reqwest::Response),
    Failed(Failure),
    Unreachable,
}

/// Returns how long a question runs before its host is probed.
pub(super) fn patience(has_something_kept: bool) -> Duration {
    if has_something_kept {
        PATIENCE_WITH_GRANT
    } else {
        PATIENCE
    }
}

impl Access {
    /// Returns the time limit of a question.
    pub(super) fn limit(&self, caller: &Caller, kept: GrantAge) -> Duration {
        match kept {
            GrantAge::Recent | GrantAge::Fresh => LIMIT_WITH_GRANT,
            // An older grant counts only for an unreachable host.
            GrantAge::Stale | GrantAge::None => {
                let registries = self.neighbours.registries();
                LIMIT.max(registries.header_wait(caller.location().registry()))
            }
        }
    }

    /// Returns the registry's answer about this object.
    pub(super) async fn ask_for(
        &self,
        caller: &Caller,
        digest: &Digest,
        kind: ObjectKind,
        kept: GrantAge,
    ) -> RegistryAnswer {
        match kind {
            ObjectKind::Manifest => self.ask_for_manifest(caller, digest, kept).await,
            ObjectKind::Blob => self.ask_for_blob(caller, digest, kept).await,
        }
    }

    async fn ask_for_manifest(&self, caller: &Caller, digest: &Digest, kept: GrantAge) -> RegistryAnswer {
        let kind = ForwardedObject::Manifest {
            wanted: TagOrDigest::Digest(digest.clone()),
        };
        let head = caller.question(Method::HEAD, kind.clone(), Vec::new(), self.limit(caller, kept));
        let head = match self.ask(caller, head, patience(kept != GrantAge::None)).await {
            RegistryAnswer::Granted(info) if info.digest.as_ref() != Some(digest) => None,
            answer if may_be_about_head(&answer) => Some(answer),
            answer => return answer,
        };
        // The headers do not name this digest: hash the bytes.
        let whole = caller.question(Method::GET, kind, Vec::new(), self.limit(caller, kept));
        let answer = match self
            .ask_raw(caller, whole, patience(kept != GrantAge::None))
            .await
        {
            QuestionOutcome::Answered(response) if response.status().is_success() => {
                proven(digest, response).await.1
            }
            reply => self.answer_of(caller, reply).await,
        };
        unless_failed(answer, head)
    }

    async fn ask_for_blob(&self, caller: &Caller, digest: &Digest, kept: GrantAge) -> RegistryAnswer {
        let kind = ForwardedObject::Blob {
            digest: digest.clone(),
        };
        let head = caller.question(Method::HEAD, kind, Vec::new(), self.limit(caller, kept));
        let known = self.known_size(caller.location(), digest);
        let head = match self.ask(caller, head, patience(kept != GrantAge::None)).await {
            RegistryAnswer::Granted(info) if !is_blob(&info, known) => None,
            answer if may_be_about_head(&answer) => Some(answer),
            answer => return answer,
        };
        let kind = ForwardedObject::FirstByte {
            digest: digest.clone(),
        };
        let byte = caller.question(Method::GET, kind, Vec::new(), self.limit(caller, kept));
        let answer = match self.ask_raw(caller, byte, patience(kept != GrantAge::None)).await {
            QuestionOutcome::Answered(response) if response.status().is_success() => {
                of_first_byte(&response, known)
            }
            // An object without bytes has no first byte.
            QuestionOutcome::Answered(response)
                if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && known == Some(0) =>
            {
                RegistryAnswer::Granted(ObjectInfo::default())
            }
            reply => self.answer_of(caller, reply).await,
        };
        unless_failed(answer, head)
    }

    /// Returns the size of the held object, or the one in a manifest of this location.
    fn known_size(&self, location: &Location, digest: &Digest) -> Option<u64> {
        if digest.is_of_nothing() {
            return Some(0);
        }
        let held = self.store.sealed(digest).map(|sealed| sealed.size);
        held.or_else(|| self.listings.size_of(location, digest))
    }

    async fn ask(&self, caller: &Caller, question: ForwardedRequest, patience: Duration) -> RegistryAnswer {
        let reply = self.ask_raw(caller, question, patience).await;
        self.answer_of(caller, reply).await
    }

    async fn answer_of(&self, caller: &Caller, reply: QuestionOutcome) -> RegistryAnswer {
        match reply {
            QuestionOutcome::Answered(response) => self.read_answer(caller, response).await,
            QuestionOutcome::Failed(failure) => RegistryAnswer::Failed(failure),
            QuestionOutcome::Unreachable => RegistryAnswer::Unreachable,
        }
    }

    pub(super) async fn read_answer(&self, caller: &Caller, response: reqwest::Response) -> RegistryAnswer {
        if response.status() == StatusCode::PRECONDITION_FAILED {
            return RegistryAnswer::Barred(Bar::read(response, caller.location().registry().as_str()).await);
        }
        let is_challenge = response.status() == StatusCode::UNAUTHORIZED;
        // It got no token: the token server issued none.
        if is_challenge && caller.showed_local_token && self.token_server_is_unreachable(caller).await {
            return RegistryAnswer::Unreachable;
        }
        RegistryAnswer::of(&response)
    }

    /// Returns the registry's response, unless its status is a 429, 408 or 5xx.
    pub(super) async fn ask_raw(
        &self,
        caller: &Caller,
        question: ForwardedRequest,
        patience: Duration,
    ) -> QuestionOutcome {
        let key = question_key(caller, &question);
        if let Some(failure) = self.rate_limited.failure(&key) {
            return QuestionOutcome::Failed(failure);
        }
        let registry = match self.neighbours.registries().registry(&caller.location().origin) {
            Ok(registry) => registry,
            Err(error) => return QuestionOutcome::Failed(Failure::of_error(&error)),
        };
        let server = registry.server();
        let probe = registry.probe(PROBE_LIMIT);
        if self.reach.is_still_unreachable(&server, probe).await {
            return QuestionOutcome::Unreachable;
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
                    return QuestionOutcome::Answered(response);
                }
                let failure = Failure::of_response(registry.name(), &response);
                self.rate_limited.remember(key, &failure);
                return failed(caller, failure);
            }
            Err(error) if !has_no_headers(&error) => return failed(caller, Failure::of_error(&error)),
            Err(error) => Failure::of_error(&error),
        };
        let probe = registry.probe(PROBE_LIMIT);
        if self.reach.is_unreachable(&server, probe).await {
            return unreachable(&registry);
        }
        failed(caller, failure)
    }
}

fn failed(caller: &Caller, failure: Failure) -> QuestionOutcome {
    warn!(
        stoker.registry = %caller.location().registry(),
        stoker.side = failure.side.word(),
        http.response.status_code = failure.status.map(|status| status.as_u16()),
        error = failure.text,
        "registry did not answer one question"
    );
    QuestionOutcome::Failed(failure)
}

fn unreachable(registry: &Registry) -> QuestionOutcome {
    warn!(
        stoker.registry = %registry.name(),
        stoker.side = "network",
        server.address = registry.server(),
        "registry host is unreachable"
    );
    QuestionOutcome::Unreachable
}

fn question_key(caller: &Caller, question: &ForwardedRequest) -> QuestionKey {
    let object = match &question.kind {
        ForwardedObject::Manifest { wanted } => format!("manifest {wanted}"),
        ForwardedObject::Blob { digest } | ForwardedObject::FirstByte { digest } => format!("blob {digest}"),
        ForwardedObject::Version => "version".to_owned(),
        ForwardedObject::List { list, query } => format!("{list} {query}"),
    };
    (caller.shown_to_registry, caller.location().clone(), object)
}

/// Returns whether the host may be unreachable. Other errors mean that it answered, or that we sent nothing.
fn has_no_headers(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Unreachable { .. } | RegistryError::TimedOut { .. } | RegistryError::CutShort { .. }
    )
}

/// Returns whether a GET may be answered otherwise than this HEAD: some registries, proxies and storages refuse or do not
/// know a HEAD of what they send to a GET.
pub(super) fn may_be_about_head(answer: &RegistryAnswer) -> bool {
    match answer {
        RegistryAnswer::Refused(status) => oci::may_be_about_head(*status),
        RegistryAnswer::Failed(failure) => failure.by_storage,
        _ => false,
    }
}

/// Returns the answer to a GET, or that to the HEAD before it if the GET got none: then the registry's refusal counts,
/// and no kept grant.
pub(super) fn unless_failed(answer: RegistryAnswer, head: Option<RegistryAnswer>) -> RegistryAnswer {
    match (answer, head) {
        (
            RegistryAnswer::Failed(_) | RegistryAnswer::Unreachable,
            Some(refused @ RegistryAnswer::Refused(_)),
        ) => refused,
        (answer, _) => answer,
    }
}

/// Returns whether the headers of a 200 are those of the blob.
fn is_blob(info: &ObjectInfo, known: Option<u64>) -> bool {
    match (info.size, known) {
        (size, Some(known)) => size.unwrap_or(0) == known,
        (Some(_), None) => !info.is_web_page(),
        (None, None) => false,
    }
}

fn of_first_byte(response: &reqwest::Response, known: Option<u64>) -> RegistryAnswer {
    let info = ObjectInfo::of_first_byte(response);
    let is_range = response.status() == StatusCode::PARTIAL_CONTENT;
    let is_it = match known {
        Some(known) => is_range || info.size.unwrap_or(0) == known,
        None => !info.is_web_page(),
    };
    if is_it {
        return RegistryAnswer::Granted(info);
    }
    RegistryAnswer::Failed(Failure::of_registry(
        "the registry sent something else than this blob, a web page or another length: check the registry's address",
    ))
}

/// Returns a manifest's bytes if they have the digest, and the answer.
pub(super) async fn proven(digest: &Digest, response: reqwest::Response) -> (Option<Bytes>, RegistryAnswer) {
    let headers = response.headers().clone();
    let info = ObjectInfo::from(&headers);
    let bytes = timeout(BODY_LIMIT, gather(response))
        .await
        .ok()
        .and_then(Result::ok);
    let hashed = bytes.as_deref().map(|bytes| digest.of_same_algorithm(bytes));
    let bytes = bytes.and_then(|bytes| verified(bytes, &headers, Some(digest)));
    // A body that was cut off is not wrong: the fetch will prove the bytes.
    if bytes.is_some() || (hashed.is_none() && info.digest.as_ref() == Some(digest)) {
        return (bytes, RegistryAnswer::Granted(info));
    }
    let failure = match hashed {
        Some(_) => Failure::of_registry(
            "the registry sent another manifest than the requested one: read the registry's log",
        ),
        None => Failure::of_network(
            "the manifest was cut off, and its headers do not name its digest: pull again",
        ),
    };
    (None, RegistryAnswer::Failed(failure))
}

/// Returns a manifest's bytes, unless they have another digest than promised, or are encoded and none is promised.
pub(super) fn verified(bytes: Bytes, headers: &HeaderMap, promised: Option<&Digest>) -> Option<Bytes> {
    let body = ManifestBody {
        bytes,
        headers,
        limit: BYTES_LIMIT,
    };
    body.verified(promised.map_or(&[], std::slice::from_ref)).ok()
}

/// Why a manifest or list was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotGathered {
    CutOff,
    /// It has more than [`BYTES_LIMIT`] bytes.
    TooLong,
}

/// Returns the bytes of a manifest or list.
pub(super) async fn gather(mut response: reqwest::Response) -> Result<Bytes, NotGathered> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|_| NotGathered::CutOff)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > BYTES_LIMIT {
            return Err(NotGathered::TooLong);
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(size: Option<u64>, media_type: &str) -> ObjectInfo {
        ObjectInfo {
            size,
            media_type: Some(media_type.to_owned()),
            ..ObjectInfo::default()
        }
    }

    #[test]
    fn the_headers_of_a_blob_have_its_length_and_are_no_web_page() {
        let bytes = "application/octet-stream";
        assert!(is_blob(&info(Some(5), bytes), Some(5)));
        assert!(
            is_blob(&info(Some(5), "text/html"), Some(5)),
            "the length decides"
        );
        assert!(!is_blob(&info(Some(6), bytes), Some(5)));
        assert!(!is_blob(&info(None, bytes), Some(5)));
        assert!(is_blob(&info(Some(5), bytes), None));
        assert!(!is_blob(&info(None, bytes), None));
        assert!(!is_blob(&info(Some(5), "Text/HTML; charset=utf-8"), None));
        assert!(is_blob(&info(None, bytes), Some(0)));
    }

    #[test]
    fn a_refused_head_counts_if_the_get_gets_no_answer() {
        let failed = || RegistryAnswer::Failed(Failure::of_network("broke off"));
        let refused = || Some(RegistryAnswer::Refused(StatusCode::FORBIDDEN));
        for answer in [failed(), RegistryAnswer::Unreachable] {
            let answer = unless_failed(answer, refused());
            assert!(matches!(answer, RegistryAnswer::Refused(StatusCode::FORBIDDEN)));
        }
        let granted = unless_failed(RegistryAnswer::Granted(info(None, "")), refused());
        assert!(matches!(granted, RegistryAnswer::Granted(_)));
        assert!(matches!(unless_failed(failed(), None), RegistryAnswer::Failed(_)));
    }

    #[test]
    fn only_errors_without_headers_lead_to_a_probe() {
        let asked = || oci::RequestedObject {
            registry: "reg.lan".parse().expect("a name"),
            object: "manifest v1 of a".to_owned(),
        };
        let limit = Duration::from_secs(1);
        assert!(has_no_headers(&RegistryError::TimedOut {
            requested: asked(),
            awaited: "answer",
            limit
        }));
        assert!(!has_no_headers(&RegistryError::BadRedirect {
            requested: asked(),
            what: "no place".to_owned()
        }));
        assert!(!has_no_headers(&RegistryError::NoFreeConnection {
            requested: asked(),
            limit: std::num::NonZeroU32::MIN,
            waited: limit
        }));
    }
}
