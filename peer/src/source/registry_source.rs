//! Where the registry has an object.

use oci::{BlobPart, Credential, Location};

/// The rest of an object from a byte on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RestOf {
    pub(crate) from: u64,
    /// The object's size, if a source has said it.
    pub(crate) size: Option<u64>,
}

impl RestOf {
    /// The range in its closed form, which every registry knows, if the size is known.
    pub(crate) fn range(self) -> BlobPart {
        BlobPart {
            from: self.from,
            until: self.size.filter(|size| self.from > 0 && *size > self.from),
        }
    }
}

impl From<u64> for RestOf {
    fn from(from: u64) -> Self {
        Self { from, size: None }
    }
}

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
