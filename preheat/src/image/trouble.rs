//! Why an image could not be resolved: text for the caller, side, and whether to retry.

use std::time::Duration;

use oci::RegistryError;
use wire::Side;

use super::objects::BadImage;
use crate::model::errors::StorageError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// One of few words, for spans.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) side: Side,
    pub(crate) retry: bool,
    pub(crate) retry_after: Option<Duration>,
}

impl Trouble {
    /// The image or the request is at fault; a retry does not help.
    pub(crate) fn of_caller(text: String) -> Self {
        Self {
            kind: "bad_request",
            text,
            side: Side::Caller,
            retry: false,
            retry_after: None,
        }
    }

    /// The registry refused by count: it serves only so many requests at once.
    pub(crate) fn is_by_count(&self) -> bool {
        matches!(self.kind, "too_many_at_once" | "busy")
    }

    /// The image in the registry is broken.
    pub(crate) fn of_image(what: &str, cause: impl std::fmt::Display) -> Self {
        let text = format!("{what} cannot be preheated: {cause}; push the image again");
        Self {
            kind: "bad_image",
            text,
            side: Side::Registry,
            retry: false,
            retry_after: None,
        }
    }
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        let side = match error.side() {
            oci::Side::Caller => Side::Caller,
            oci::Side::Registry => Side::Registry,
            oci::Side::Network => Side::Network,
        };
        Self {
            kind: error.error_type(),
            text: format!("{error}; {}", error.what_to_do()),
            side,
            retry: error.is_worth_retrying(),
            retry_after: error.retry_after(),
        }
    }
}

impl From<BadImage> for Trouble {
    fn from(bad: BadImage) -> Self {
        Self::of_image("the image", bad)
    }
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        Self {
            kind: "database",
            text: error.to_string(),
            side: Side::Manager,
            retry: true,
            retry_after: None,
        }
    }
}
