//! The sources of bytes: other peers' `share`, and registries.
//!
//! **Invariant:** nothing is trusted here. Readers check all bytes. Every wait for a source has a limit.

mod call;
mod crowd;
mod error;
mod permits;
mod registry_source;
mod share_client;
mod share_url;
mod sources;
mod unreachable;

pub(crate) use crowd::CrowdFeed;
pub use error::ShareError;
pub(crate) use error::SourceError;
pub(crate) use registry_source::{RegistrySource, RestOf};
pub use share_client::ShareClient;
pub(crate) use share_url::host_and_port;
pub use sources::Sources;
pub(crate) use sources::{OPEN_LIMIT, OpenSource, SourceStream};
