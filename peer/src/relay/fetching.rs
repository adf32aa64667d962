//! An object that another node of the cluster wants on its caller's behalf, when no peer holds it: starts or joins
//! the one fetch from the registry.
//!
//! **Invariant:** the registry has said yes to this very credential, or to anybody, before a byte of an object that
//! is still on its way goes out. What is whole is given like `share` gives it: to any peer.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use oci::{Credential, Digest, Location, RegistryError, Secret, TagOrDigest};
use wire::{ObjectKind, Side, TraceContext};

use super::RelayState;
use crate::access::{Caller, Refusal};
use crate::fetch::{Extent, Found, Object, Wanted};
use crate::limits::Class;

/// What another node asks for.
pub(crate) struct Relayed {
    pub(crate) digest: Digest,
    pub(crate) kind: ObjectKind,
    pub(crate) location: Location,
    /// As [`Credential::authorization`] writes it. In memory only, for this fetch.
    pub(crate) authorization: Option<Secret>,
    pub(crate) extent: Extent,
    pub(crate) size_hint: Option<u64>,
}

impl RelayState {
    /// The object, once the registry has let this credential have it and its location delivers it.
    pub(super) async fn relayed(&self, asked: Relayed) -> Result<Object, Refusal> {
        self.unless_blocked(&asked.digest)?;
        let credential = asked.credential();
        let caller = self.who_asks(&asked)?;
        let wanted = asked.wanted(&caller, credential.clone());
        let opened = self.delivery.open(&self.fetches, wanted).await;
        let (object, found) = opened.map_err(|why| Refusal::of_opening(&why, asked.kind))?;
        match found {
            // What is whole is given like `share` gives it: to any peer.
            Found::Here => {}
            // The registry has answered this credential.
            Found::Started => self.access.grant(&caller, &asked.digest, asked.kind),
            Found::Joined => self.yes_for(&caller, &asked, &credential).await?,
        }
        Ok(object)
    }

    /// Compares an object that is whole here with the bytes of the location.
    pub(super) async fn compared(&self, asked: Relayed) -> Result<(), Refusal> {
        self.unless_blocked(&asked.digest)?;
        let held = self.store.sealed(&asked.digest);
        let held = held.ok_or_else(|| Refusal::not_found("BLOB_UNKNOWN", "not held here"))?;
        let caller = self.who_asks(&asked)?;
        let wanted = asked.wanted(&caller, asked.credential());
        let proven = self.delivery.ensure(&held, &wanted).await;
        proven.map_err(|why| Refusal::of_comparison(&why))
    }

    fn who_asks(&self, asked: &Relayed) -> Result<Caller, Refusal> {
        let allowed = self.access.allowed().allow(&asked.location);
        let allowed = allowed.map_err(|why| Refusal::not_found("NAME_UNKNOWN", why.to_string()))?;
        Ok(self.access.caller(allowed, &asked.as_sent()))
    }

    fn unless_blocked(&self, digest: &Digest) -> Result<(), Refusal> {
        if self.store.is_blocked(digest) {
            let text = format!("{digest} is blocked: it was taken off this cluster");
            return Err(Refusal::Status(
                StatusCode::FORBIDDEN,
                "DENIED",
                text,
                Side::Caller,
            ));
        }
        Ok(())
    }

    /// Somebody else's credential has opened the fetch that runs.
    async fn yes_for(
        &self,
        caller: &Caller,
        asked: &Relayed,
        credential: &Credential,
    ) -> Result<(), Refusal> {
        if self.access.knows_yes(caller, &asked.digest, asked.kind).await {
            return Ok(());
        }
        match self.head(caller, asked, credential).await {
            Ok(()) => {
                self.access.grant(caller, &asked.digest, asked.kind);
                Ok(())
            }
            Err(error) => Err(refused(&error)),
        }
    }

    async fn head(
        &self,
        caller: &Caller,
        asked: &Relayed,
        credential: &Credential,
    ) -> Result<(), RegistryError> {
        let location = caller.location();
        let registry = self.around.registries().registry(&location.origin)?;
        match asked.kind {
            ObjectKind::Manifest => {
                let wanted = TagOrDigest::Digest(asked.digest.clone());
                let info = registry.manifest_head(&location.repository, &wanted, credential);
                info.await.map(drop)
            }
            ObjectKind::Blob => {
                let info = registry.blob_head(&location.repository, &asked.digest, credential);
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

impl Relayed {
    fn credential(&self) -> Credential {
        self.authorization
            .as_ref()
            .map_or(Credential::Anonymous, |value| {
                Credential::from_authorization(value.expose())
            })
    }

    /// What the caller's yeses are known by.
    fn as_sent(&self) -> HeaderMap {
        let value = self.authorization.as_ref();
        let value = value.and_then(|value| HeaderValue::from_str(value.expose()).ok());
        value.map(|value| (AUTHORIZATION, value)).into_iter().collect()
    }

    fn wanted(&self, caller: &Caller, credential: Credential) -> Wanted {
        Wanted {
            digest: self.digest.clone(),
            kind: self.kind,
            size: None,
            size_hint: self.size_hint,
            media_type: None,
            location: caller.location().clone(),
            credential,
            // No hop asks a second hop.
            parents: Vec::new(),
            relays: Vec::new(),
            origin_allowed: true,
            extent: self.extent,
            class: Class::Interactive,
            trace: TraceContext::current(),
        }
    }
}
