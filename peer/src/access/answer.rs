//! What a registry answered about an object, and what that means for access.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use oci::{BadDigest, Digest, FromInside};

use super::bars::Bar;
use super::decision::AnswerKind;
use super::failure::Failure;

/// What a registry's response says about an object.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectInfo {
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<String>,
    /// `Docker-Content-Digest`.
    pub(super) digest: Option<Digest>,
    /// The algorithm of a `Docker-Content-Digest` that cannot be verified.
    pub(super) unknown_algorithm: Option<String>,
}

/// The caller may read the object.
pub(crate) struct Grant {
    pub(crate) basis: GrantBasis,
    /// If the registry was asked just now.
    pub(crate) info: Option<ObjectInfo>,
}

/// What a grant rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrantBasis {
    /// The registry granted it just now.
    Registry,
    /// The registry granted it a short time ago.
    Kept,
    /// The manager signed that anybody may read the object.
    Public,
    KeptWhileSlow,
    KeptWhileFailing,
    KeptWhileUnreachable,
}

impl GrantBasis {
    /// Returns the word for logs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Registry => "granted by the registry",
            Self::Kept => "kept grant",
            Self::Public => "public",
            Self::KeptWhileSlow => "kept grant, registry slow",
            Self::KeptWhileFailing => "kept grant, question failed",
            Self::KeptWhileUnreachable => "kept grant, registry unreachable",
        }
    }

    /// Returns why a kept grant counts after this answer.
    pub(super) fn kept_after(answer: &RegistryAnswer) -> Self {
        match answer {
            RegistryAnswer::Failed(_) => Self::KeptWhileFailing,
            _ => Self::KeptWhileUnreachable,
        }
    }
}

impl Grant {
    /// The registry was not asked, or did not answer.
    pub(super) fn without_answer(basis: GrantBasis) -> Self {
        Self { basis, info: None }
    }

    pub(super) fn of_registry(info: ObjectInfo) -> Self {
        Self {
            basis: GrantBasis::Registry,
            info: Some(info),
        }
    }
}

/// What a registry's answer means for access.
#[derive(Debug, Clone)]
pub(crate) enum RegistryAnswer {
    Granted(ObjectInfo),
    Challenge {
        headers: HeaderMap,
        /// The registry's address is private, so its token server's may be private too.
        is_inside: bool,
    },
    Refused(StatusCode),
    /// The registry names a digest of this algorithm, which cannot be verified.
    UnknownAlgorithm(String),
    /// 412: a rule of the registry bars this image.
    Barred(Bar),
    /// This question got no answer; the host is reachable.
    Failed(Failure),
    /// The registry's host is unreachable.
    Unreachable,
}

impl RegistryAnswer {
    pub(crate) fn of(response: &reqwest::Response) -> Self {
        match response.status() {
            status if status.is_success() => Self::Granted(ObjectInfo::from(response.headers())),
            StatusCode::UNAUTHORIZED => Self::Challenge {
                headers: response.headers().clone(),
                is_inside: response.extensions().get::<FromInside>().is_some(),
            },
            status => Self::Refused(status),
        }
    }

    pub(super) fn kind(&self) -> AnswerKind {
        match self {
            Self::Granted(_) => AnswerKind::Granted,
            Self::Challenge { .. } => AnswerKind::Challenge,
            Self::Refused(_) | Self::Barred(_) | Self::UnknownAlgorithm(_) => AnswerKind::Refused,
            Self::Failed(_) => AnswerKind::Failed,
            Self::Unreachable => AnswerKind::Unreachable,
        }
    }
}

impl From<&HeaderMap> for ObjectInfo {
    fn from(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let digest = text("docker-content-digest").map(str::parse);
        Self {
            // Servers that do not know the length write 0.
            size: text(CONTENT_LENGTH.as_str())
                .and_then(|length| length.parse().ok())
                .filter(|size| *size > 0),
            media_type: text(CONTENT_TYPE.as_str()).map(str::to_owned),
            unknown_algorithm: match &digest {
                Some(Err(BadDigest::UnknownAlgorithm { algorithm })) => Some(algorithm.clone()),
                _ => None,
            },
            digest: digest.and_then(Result::ok),
        }
    }
}

impl ObjectInfo {
    /// Reads the response to a request for a blob's first byte: `Content-Range` ends with the blob's size.
    pub(super) fn of_first_byte(response: &reqwest::Response) -> Self {
        let whole = Self::from(response.headers());
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return whole;
        }
        let range = response.headers().get(CONTENT_RANGE);
        let length = range
            .and_then(|range| range.to_str().ok())
            .and_then(|range| range.rsplit_once('/'))
            .and_then(|(_, length)| length.parse().ok());
        Self {
            size: length,
            ..whole
        }
    }

    /// Returns whether this is HTML. Web portals answer so for every path that they do not know.
    pub(super) fn is_web_page(&self) -> bool {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        media_type
            .trim_start()
            .get(..9)
            .is_some_and(|start| start.eq_ignore_ascii_case("text/html"))
    }
}
