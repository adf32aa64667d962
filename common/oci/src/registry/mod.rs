//! The client of one registry: manifests whole and verified, blobs as streams.
//!
//! **Invariant:** the manifest that [`Registry::manifest`] returns has its digest. [`Registry::blob`] guarantees only
//! the number of bytes; its caller verifies them.

mod blob;
mod body;
mod by_count;
mod client;
mod coding;
mod connection_slots;
mod exchange;
mod forward;
mod headers;
mod line;
mod manifest;
mod probe;
mod redirect;
mod referrers;
mod request;
mod resend;
mod response;
mod retry_after;
mod sign_in;
mod token_exchange;
mod tokens;
mod width;
mod widths;

pub use blob::{BlobPart, ByteStream};
pub(crate) use client::RegistryParts;
pub use client::{Registry, moved_to_https};
pub use coding::{BadBody, ManifestBody};
pub(crate) use connection_slots::ConnectionSlots;
pub use forward::{ForwardedObject, ForwardedRequest};
pub use headers::may_be_about_head;
pub use manifest::{FetchedManifest, ManifestHead};
pub use probe::Probe;
pub use resend::broke_before_the_head;
pub use response::{FromElsewhere, FromInside};
pub use retry_after::retry_after;
pub(crate) use widths::Widths;
