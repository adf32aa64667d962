//! Where the registry has an object.

use oci::{Credential, Location};

/// Where the registry has the object, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct RegistrySource {
    pub(crate) location: Location,
    pub(crate) credential: Credential,
    /// What is said of the object's size.
    pub(crate) size_hint: Option<u64>,
}
