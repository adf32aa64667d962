//! Who issues the tokens of a registry.

use oci::Origin;

/// A registry, the token server that issues its tokens, and the service that the token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    pub(crate) origin: Origin,
    /// The whole URL of the token server.
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
}
