//! A registry's answer about an object, and what it means for access.

use http::{HeaderMap, StatusCode};

use super::bars::Bar;
use super::decision::Said;

/// The registry's answer about an object, as far as it told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) size: Option<u64>,
    pub(crate) media_type: Option<String>,
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
pub(crate) enum Answer {
    Yes(HeaderMap),
    Challenge(HeaderMap),
    No(StatusCode),
    /// 412: by a rule of its own about this image.
    Barred(Bar),
    Silent,
}

impl Answer {
    pub(crate) fn of(response: &reqwest::Response) -> Self {
        match response.status() {
            status if status.is_success() => Self::Yes(response.headers().clone()),
            StatusCode::UNAUTHORIZED => Self::Challenge(response.headers().clone()),
            status => Self::No(status),
        }
    }

    pub(super) fn said(&self) -> Said {
        match self {
            Self::Yes(_) => Said::Yes,
            Self::Challenge(_) => Said::Challenge,
            Self::No(_) | Self::Barred(_) => Said::No,
            Self::Silent => Said::Silent,
        }
    }
}

impl From<&HeaderMap> for Told {
    fn from(headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        Self {
            size: text(http::header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            media_type: text(http::header::CONTENT_TYPE).map(str::to_owned),
        }
    }
}
