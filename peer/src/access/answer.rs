//! A registry's answer about an object, and what it means for access.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use oci::{Digest, FromInside};

use super::bars::Bar;
use super::decision::Said;
use super::failure::Failure;

/// The registry's answer about an object, as far as it told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<String>,
    /// `Docker-Content-Digest`, unless it is of an algorithm that is not served here.
    pub(super) digest: Option<Digest>,
}

/// A yes, and why.
pub(crate) struct Granted {
    pub(crate) because: &'static str,
    /// When the registry was asked just now.
    pub(crate) told: Option<Told>,
}

impl Granted {
    pub(super) fn because(because: &'static str) -> Self {
        Self { because, told: None }
    }
}

/// What an answer means for access.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Yes(Told),
    Challenge {
        headers: HeaderMap,
        /// It came from an address inside: so may its token server be.
        is_inside: bool,
    },
    No(StatusCode),
    /// 412: by a rule of its own about this image.
    Barred(Bar),
    /// This question has no answer.
    Failed(Failure),
    /// The registry's host is unreachable.
    Unreachable,
}

impl Answer {
    pub(crate) fn of(response: &reqwest::Response) -> Self {
        match response.status() {
            status if status.is_success() => Self::Yes(Told::from(response.headers())),
            StatusCode::UNAUTHORIZED => Self::Challenge {
                headers: response.headers().clone(),
                is_inside: response.extensions().get::<FromInside>().is_some(),
            },
            status => Self::No(status),
        }
    }

    pub(super) fn said(&self) -> Said {
        match self {
            Self::Yes(_) => Said::Yes,
            Self::Challenge { .. } => Said::Challenge,
            Self::No(_) | Self::Barred(_) => Said::No,
            Self::Failed(_) => Said::Failed,
            Self::Unreachable => Said::Unreachable,
        }
    }
}

impl From<&HeaderMap> for Told {
    fn from(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            // A length of 0 is what servers say that do not know it.
            size: text(CONTENT_LENGTH.as_str())
                .and_then(|length| length.parse().ok())
                .filter(|size| *size > 0),
            media_type: text(CONTENT_TYPE.as_str()).map(str::to_owned),
            digest: text("docker-content-digest").and_then(|digest| digest.parse().ok()),
        }
    }
}

impl Told {
    /// What a blob's one byte tells: the whole length behind the range, and no type.
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

    /// A page for people, as portals give it for every path that they do not know.
    pub(super) fn is_web_page(&self) -> bool {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        media_type
            .trim_start()
            .get(..9)
            .is_some_and(|start| start.eq_ignore_ascii_case("text/html"))
    }
}
