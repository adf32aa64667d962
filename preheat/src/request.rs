//! What somebody asks for, parsed.

use oci::{Credential, ImageReference, Platform};

use crate::scope::{ClusterChoice, Scope};

/// One image to be preheated.
#[derive(Debug, Clone)]
pub struct PreheatRequest {
    pub image: ImageReference,
    pub scope: Scope,
    pub clusters: ClusterChoice,
    /// Empty: all that the image has.
    pub platforms: Vec<Platform>,
    /// For the registry; sealed, and gone when the preheat ends.
    pub credential: Option<Credential>,
    pub asked_by: Origin,
}

/// Which door a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Harbor,
    Api,
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Harbor => "harbor",
            Self::Api => "api",
        }
    }
}
