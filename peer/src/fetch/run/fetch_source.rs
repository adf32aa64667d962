//! One source of a fetch: a parent, a seed that relays from the registry, or the registry.

use oci::RegistryName;

use super::source_span::SourceSpan;
use crate::limits::Way;

#[derive(Clone, PartialEq, Eq)]
pub(super) enum FetchSource {
    /// `share` URL of a peer.
    Parent(String),
    /// `share` URL of a seed that reads the registry for this peer.
    Relay(String),
    Registry(RegistryName),
}

impl FetchSource {
    /// The name in reports and errors.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Parent(url) | Self::Relay(url) => url.clone(),
            Self::Registry(name) => name.to_string(),
        }
    }

    pub(super) fn is_registry(&self) -> bool {
        matches!(self, Self::Registry(_))
    }

    pub(super) fn is_parent(&self) -> bool {
        matches!(self, Self::Parent(_))
    }

    /// The limit that its bytes count against.
    pub(super) fn way(&self) -> Way {
        match self {
            Self::Registry(name) => Way::FromRegistry(name.clone()),
            Self::Parent(_) | Self::Relay(_) => Way::FromPeer,
        }
    }

    /// A span for reading from byte `from` on.
    pub(super) fn span(&self, from: u64) -> SourceSpan {
        match self {
            Self::Parent(url) => SourceSpan::of_parent(url, from),
            Self::Relay(url) => SourceSpan::of_relay(url, from),
            Self::Registry(name) => SourceSpan::of_registry(name.as_str(), from),
        }
    }
}
