//! A client for registries: references, digests, manifests, sign-in, and blobs as byte streams.
//!
//! **Invariant:** outside text becomes a [`Digest`], [`Repository`], [`Tag`] or [`RegistryName`] only if it is safe in
//! a path, a URL and a log line. Everything that a registry sends is bounded, and checked before it is used.
//!
//! Non-goals: retries, caching of objects, deciding which registry may be dialled. Callers do that.

mod advice;
mod bad_manifest;
mod certificate_fault;
pub mod challenge;
mod clients;
mod connect_fault;
mod credential;
mod credential_lookup;
mod dial;
mod digest;
mod docker_config;
mod entry;
mod error;
mod harbors;
mod helper;
mod lists;
mod location;
mod lookup_error;
pub mod manifest;
mod metrics;
mod names;
mod platform;
mod proxy;
mod ranges;
mod reference;
pub mod referrers;
mod registries;
mod registry;
mod serde_text;
mod settings;
mod strict;
mod text;
mod token_answer;

pub use certificate_fault::CertificateFault;
pub use connect_fault::ConnectFault;
pub use credential::{Credential, KeptCredential, Secret};
pub use dial::{AddressRange, BadRange, Dial, DialRules, NotAllowed, inside as special_address, is_named_by};
pub use digest::{BadDigest, Digest, DigestAlgorithm, DigestHasher};
pub use error::{ErrorResponse, RegistryError, RequestedObject, Side};
pub use helper::CredentialHelper;
pub use lists::{BadSubject, RequestedList, SubjectDigest};
pub use location::{BadLocation, BasePath, Location, Origin, Scheme};
pub use lookup_error::LookupError;
pub use metrics::RegistryMetrics;
pub use names::{BadName, RegistryName, Repository, Tag};
pub use platform::{BadPlatform, Platform};
pub use proxy::{BadProxy, Proxy};
pub use ranges::{ContentRange, RequestedRange};
pub use reference::{BadReference, DigestConflict, ImageReference, TagOrDigest};
pub use registries::Registries;
pub use registry::{
    BadBody, BlobPart, ByteStream, FetchedManifest, ForwardedObject, ForwardedRequest, FromElsewhere,
    FromInside, ManifestBody, ManifestHead, Probe, Registry, broke_before_the_head, may_be_about_head,
    moved_to_https, retry_after,
};
pub use settings::{BuildError, ClientFactory, RegistryLimits, RegistrySettings, TlsOptions};
pub use text::with_short_digests;
pub use token_answer::{BadTokenAnswer, TokenAnswer};

/// The manifest types to accept. All are listed, because a registry answers 404 if it has only another type.
pub const MANIFEST_ACCEPT: [&str; 5] = [
    oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE,
    oci_distribution::manifest::OCI_IMAGE_MEDIA_TYPE,
    oci_distribution::manifest::IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    oci_distribution::manifest::IMAGE_MANIFEST_MEDIA_TYPE,
    manifest::ARTIFACT_MEDIA_TYPE,
];
