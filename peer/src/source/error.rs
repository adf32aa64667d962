//! Why a peer or a registry did not send an object.

use std::time::Duration;

use http::StatusCode;
use oci::RegistryError;
use wire::Side;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error("the peer does not hold the object for this repository")]
    NotHeld,
    #[error("the peer is unreachable: {0}")]
    Unreachable(String),
    #[error("the peer sent nothing for {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the transfer broke off: {0}")]
    Broke(String),
    #[error("the peer refused our certificate: check both clocks, and whether this peer was removed")]
    Refused,
    #[error("the seed refused this credential: {0}")]
    Denied(String),
    #[error("the credential for the registry was not found: {0}")]
    NoCredential(String),
    #[error("this peer does not know its own address: set `advertise`")]
    NoAddress,
    #[error("the peer answered {0}")]
    UnexpectedStatus(StatusCode),
    #[error("the peer's response is invalid: {0}")]
    BadResponse(&'static str),
}

impl ShareError {
    /// The kind of error as one word, for spans and logs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NotHeld => "not_held",
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Broke(_) => "cut_short",
            Self::Refused => "refused",
            Self::Denied(_) => "denied",
            Self::NoCredential(_) => "no_credential",
            Self::NoAddress => "no_address",
            Self::UnexpectedStatus(_) => "unexpected_answer",
            Self::BadResponse(_) => "bad_answer",
        }
    }
}

/// Why a source did not send the whole object.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub(crate) struct SourceError {
    pub(crate) side: Side,
    /// The kind of error as one word, for spans and logs.
    pub(crate) word: &'static str,
    /// The same source may succeed soon.
    pub(crate) passing: bool,
    pub(crate) text: String,
}

impl From<ShareError> for SourceError {
    fn from(error: ShareError) -> Self {
        let broke = matches!(error, ShareError::Broke(_) | ShareError::Timeout(_));
        let network = broke || matches!(error, ShareError::Unreachable(_));
        Self {
            side: match error {
                ShareError::Denied(_) => Side::Caller,
                _ if network => Side::Network,
                _ => Side::Peer,
            },
            word: error.word(),
            passing: broke,
            text: error.to_string(),
        }
    }
}

impl From<RegistryError> for SourceError {
    fn from(error: RegistryError) -> Self {
        Self {
            side: match error.side() {
                oci::Side::Caller => Side::Caller,
                oci::Side::Registry => Side::Registry,
                oci::Side::Network => Side::Network,
            },
            word: error.error_type(),
            passing: error.is_worth_retrying(),
            text: format!("{error}; {}", error.what_to_do()),
        }
    }
}
