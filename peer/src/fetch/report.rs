//! The sources of an object's bytes.

/// What a successful fetch reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchReport {
    pub bytes_from_registry: u64,
    pub bytes_from_peers: u64,
    /// In the order in which they were tried. Empty when the object was held already.
    pub sources: Vec<SourceUse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUse {
    /// A parent's `share` URL, or the registry's name.
    pub source: String,
    pub bytes: u64,
    pub is_registry: bool,
}

impl FetchReport {
    pub(super) fn add(&mut self, source: &str, is_registry: bool, bytes: u64) {
        if is_registry {
            self.bytes_from_registry += bytes;
        } else {
            self.bytes_from_peers += bytes;
        }
        match self.sources.iter_mut().find(|used| used.source == source) {
            Some(used) => used.bytes += bytes,
            None => self.sources.push(SourceUse {
                source: source.to_owned(),
                bytes,
                is_registry,
            }),
        }
    }
}
