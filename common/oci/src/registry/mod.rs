//! Talks to one registry: manifests whole and checked, blobs as they come.
//!
//! **Invariant:** what [`Registry::manifest`] returns has the digest it says; [`Registry::blob`] promises nothing
//! about bytes beyond their number, its caller proves them.

mod answer;
mod ask;
mod blob;
mod body;
mod client;
mod exchange;
mod exchange_for_token;
mod headers;
mod manifest;
mod patience;
mod probe;
mod redirect;
mod referrers;
mod request;
mod resend;
mod sign_in;
mod tokens;
mod turns;

pub use answer::{FromElsewhere, FromInside};
pub use ask::{Question, QuestionKind};
pub use blob::{BlobPart, ByteStream};
pub use client::Registry;
pub(crate) use client::RegistryParts;
pub use manifest::{FetchedManifest, ManifestHead};
pub use patience::retry_after;
pub use probe::Probe;
pub use resend::broke_before_the_head;
pub(crate) use turns::Turns;
