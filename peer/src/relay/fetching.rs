//! Fetches an object from the registry for another node of the cluster: starts or joins the one fetch.
//!
//! **Invariant:** no byte of a running fetch is sent before the registry has granted the object to this credential, or to
//! anybody. A sealed object is sent to any peer, as `share` does.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use oci::{Credential, Digest, Location, RegistryError, Secret, TagOrDigest};
use wire::{ObjectKind, Side, TraceContext};

use super::state::RelayState;
use crate::access::{Caller, Refusal};
use crate::fetch::{Extent, FetchSpec, FetchStart, ReadableObject};
use crate::limits::Class;

/// The request of another node.
pub(crate) struct RelayRequest {
    pub(crate) digest: Digest,
    pub(crate) kind: ObjectKind,
    pub(crate) location: Location,
    /// The `Authorization` value; kept in memory for this fetch only.
    pub(crate) authorization: Option<Secret>,
    pub(crate) extent: Extent,
    pub(crate) size_hint: Option<u64>,
}

impl RelayState {
    /// Returns the object once the registry has granted it to this credential and its location delivers it.
    pub(super) async fn relayed(&self, request: RelayRequest) -> Result<ReadableObject, Refusal> {
        self.unless_blocked(&request.digest)?;
        let credential = request.credential();
        let caller = self.caller_of(&request)?;
        let wanted = request.wanted(&caller, credential.clone());
        let opened = self.delivery.open(&self.fetches, wanted).await;
        let (object, found) = opened.map_err(|why| Refusal::of_opening(&why, request.kind))?;
        match found {
            // As `share` does: to any peer.
            FetchStart::Held => {}
            // The registry has granted it to this credential.
            FetchStart::Started => self.access.grant(&caller, &request.digest, request.kind),
            FetchStart::Joined => self.ensure_grant(&caller, &request, &credential).await?,
        }
        Ok(object)
    }

    /// Compares a sealed object with the bytes of the location.
    pub(super) async fn compared(&self, request: RelayRequest) -> Result<(), Refusal> {
        self.unless_blocked(&request.digest)?;
        let held = self.store.sealed(&request.digest);
        let held = held.ok_or_else(|| Refusal::not_found("BLOB_UNKNOWN", "the object is not held here"))?;
        let caller = self.caller_of(&request)?;
        let wanted = request.wanted(&caller, request.credential());
        let proven = self.delivery.ensure(&held, &wanted).await;
        proven.map_err(|why| Refusal::of_comparison(&why))
    }

    fn caller_of(&self, request: &RelayRequest) -> Result<Caller, Refusal> {
        let allowed = self.access.allowed().allow(&request.location);
        let allowed = allowed.map_err(|why| Refusal::not_found("NAME_UNKNOWN", why.to_string()))?;
        Ok(self.access.caller(allowed, &request.as_sent()))
    }

    fn unless_blocked(&self, digest: &Digest) -> Result<(), Refusal> {
        if self.store.is_blocked(digest) {
            let text = format!("{digest} is blocked: it was removed from this cluster");
            return Err(Refusal::Status(
                StatusCode::FORBIDDEN,
                "DENIED",
                text,
                Side::Caller,
            ));
        }
        Ok(())
    }

    /// Asks the registry for a grant: another credential started the running fetch.
    async fn ensure_grant(
        &self,
        caller: &Caller,
        request: &RelayRequest,
        credential: &Credential,
    ) -> Result<(), Refusal> {
        if self.access.has_grant(caller, &request.digest, request.kind).await {
            return Ok(());
        }
        match self.head(caller, request, credential).await {
            Ok(()) => {
                self.access.grant(caller, &request.digest, request.kind);
                Ok(())
            }
            Err(error) => Err(refused(&error)),
        }
    }

    async fn head(
        &self,
        caller: &Caller,
        request: &RelayRequest,
        credential: &Credential,
    ) -> Result<(), RegistryError> {
        let location = caller.location();
        let registry = self.around.registries().registry(&location.origin)?;
        match request.kind {
            ObjectKind::Manifest => {
                let wanted = TagOrDigest::Digest(request.digest.clone());
                let info = registry.manifest_head(&location.repository, &wanted, credential);
                info.await.map(drop)
            }
            ObjectKind::Blob => {
                let info = registry.blob_head(&location.repository, &request.digest, credential);
                info.await.map(drop)
            }
        }
    }
}

fn refused(error: &RegistryError) -> Refusal {
    let text = format!("{error}; {}", error.what_to_do());
    match error.side() {
        oci::Side::Caller => Refusal::Status(StatusCode::FORBIDDEN, "DENIED", text, Side::Caller),
        oci::Side::Registry => Refusal::bad_gateway(Side::Registry, "UNAVAILABLE", text),
        oci::Side::Network => Refusal::unreachable(text),
    }
}

impl RelayRequest {
    fn credential(&self) -> Credential {
        self.authorization
            .as_ref()
            .map_or(Credential::Anonymous, |value| {
                Credential::from_authorization(value.expose())
            })
    }

    /// The header that identifies the caller, as the node's caller sent it.
    fn as_sent(&self) -> HeaderMap {
        let value = self.authorization.as_ref();
        let value = value.and_then(|value| HeaderValue::from_str(value.expose()).ok());
        value.map(|value| (AUTHORIZATION, value)).into_iter().collect()
    }

    fn wanted(&self, caller: &Caller, credential: Credential) -> FetchSpec {
        FetchSpec {
            digest: self.digest.clone(),
            kind: self.kind,
            size: None,
            size_hint: self.size_hint,
            media_type: None,
            location: caller.location().clone(),
            credential,
            // A relay never asks another relay.
            parents: Vec::new(),
            relays: Vec::new(),
            registry_allowed: true,
            extent: self.extent,
            class: Class::Interactive,
            trace: TraceContext::current(),
        }
    }
}
