//! Where the registry has an object.

use oci::{Credential, Location};

/// Where the registry has the object, and the credential for it.
#[derive(Debug, Clone)]
pub(crate) struct RegistrySource {
    pub(crate) location: Location,
    pub(crate) credential: Credential,
    /// The size as a caller or a registry claims it.
    pub(crate) size_hint: Option<u64>,
    /// A preheat needs it: where the registry refuses by count, it waits. A runtime goes to the registry itself.
    pub(crate) may_wait: bool,
}
