//! An object that another node of the cluster wants on its caller's behalf, when no peer holds it: starts or joins
//! the one fetch from the registry.
//!
//! **Invariant:** the registry has said yes to this very credential, or to anybody, before a byte of an object that
//! is still on its way goes out. What is whole is given like `share` gives it: to any peer.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use oci::{Credential, Digest, RegistryError, RegistryName, Repository, Secret, TagOrDigest};
use wire::{ObjectKind, Side, TraceContext};

use super::RelayState;
use crate::access::{NoRegistry, Origin, Refusal, Who};
use crate::fetch::{Extent, Found, Object, Wanted};
use crate::limits::Class;

/// What another node asks for.
pub(crate) struct Relayed {
    pub(crate) digest: Digest,
    pub(crate) kind: ObjectKind,
    pub(crate) registry: RegistryName,
    pub(crate) base_path: String,
    pub(crate) plain_http: bool,
    pub(crate) repository: Repository,
    /// As [`Credential::authorization`] writes it. In memory only, for this fetch.
    pub(crate) authorization: Option<Secret>,
    pub(crate) extent: Extent,
    pub(crate) size_hint: Option<u64>,
}

impl RelayState {
    /// The object, once the registry has let this credential have it.
    pub(super) async fn relayed(&self, asked: Relayed) -> Result<Object, Refusal> {
        if self.store.is_blocked(&asked.digest) {
            let text = format!("{} is blocked: it was taken off this cluster", asked.digest);
            return Err(Refusal::Status(
                StatusCode::FORBIDDEN,
                "DENIED",
                text,
                Side::Caller,
            ));
        }
        if let Some(sealed) = self.store.sealed(&asked.digest) {
            return Ok(Object::Here(sealed));
        }
        let origin = self.origin_of(&asked)?;
        let credential = asked.credential();
        let who = self
            .access
            .who(origin, asked.repository.clone(), &asked.as_sent());
        let following = self.fetches.join_or_start(asked.wanted(&who, credential.clone()));
        let size = following
            .size()
            .await
            .map_err(|error| Refusal::of_fetch(&error, asked.kind))?;
        if following.found() == Found::Started {
            // The registry has answered this credential.
            self.access.grant(&who, &asked.digest, asked.kind);
        } else {
            self.yes_for(&who, &asked, &credential).await?;
        }
        Ok(Object::Coming(following, size))
    }

    fn origin_of(&self, asked: &Relayed) -> Result<Origin, Refusal> {
        let origin = Origin {
            registry: self.around.registries().canonical(&asked.registry),
            base_path: asked.base_path.clone(),
            plain_http: asked.plain_http,
        };
        if self.access.may_dial(&origin) {
            return Ok(origin);
        }
        let why = NoRegistry::NotAllowed(origin.registry).to_string();
        Err(Refusal::not_found("NAME_UNKNOWN", why))
    }

    /// Somebody else's credential has opened the fetch that runs.
    async fn yes_for(&self, who: &Who, asked: &Relayed, credential: &Credential) -> Result<(), Refusal> {
        if self.access.knows_yes(who, &asked.digest, asked.kind).await {
            return Ok(());
        }
        match self.head(who, asked, credential).await {
            Ok(()) => {
                self.access.grant(who, &asked.digest, asked.kind);
                Ok(())
            }
            Err(error) => Err(refused(&error)),
        }
    }

    async fn head(&self, who: &Who, asked: &Relayed, credential: &Credential) -> Result<(), RegistryError> {
        let origin = &who.origin;
        let registry =
            self.around
                .registries()
                .registry(&origin.registry, &origin.base_path, origin.plain_http)?;
        match asked.kind {
            ObjectKind::Manifest => {
                let wanted = TagOrDigest::Digest(asked.digest.clone());
                let told = registry.manifest_head(&asked.repository, &wanted, credential);
                told.await.map(drop)
            }
            ObjectKind::Blob => {
                let told = registry.blob_head(&asked.repository, &asked.digest, credential);
                told.await.map(drop)
            }
        }
    }
}

fn refused(error: &RegistryError) -> Refusal {
    let text = format!("{error}; {}", error.what_to_do());
    match error.side() {
        oci::Side::Caller => Refusal::Status(StatusCode::FORBIDDEN, "DENIED", text, Side::Caller),
        oci::Side::Registry => Refusal::bad_gateway(Side::Registry, "UNAVAILABLE", text),
        oci::Side::Network => Refusal::silent(text),
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

    fn wanted(&self, who: &Who, credential: Credential) -> Wanted {
        Wanted {
            digest: self.digest.clone(),
            kind: self.kind,
            size: None,
            size_hint: self.size_hint,
            media_type: None,
            registry: who.origin.registry.clone(),
            base_path: who.origin.base_path.clone(),
            plain_http: who.origin.plain_http,
            repository: self.repository.clone(),
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
