//! The credentials for a lot's objects: the request's own first, then the one configured for the registry.
//!
//! **Invariant:** a configured credential is never sent over plain HTTP unless its registry is configured so.

use std::sync::Arc;

use oci::{Credential, Location};
use tokio::sync::OnceCell;
use tracing::warn;
use uuid::Uuid;
use wire::{CallError, Lot, Role};

use super::context::OrdersContext;
use crate::fetch::FetchSpec;

/// The credential of the request. It is read from the manager once, when it is first needed. `None` after it has ended.
#[derive(Clone, Default)]
pub(super) struct LotCredential(Arc<OnceCell<Option<Credential>>>);

/// The credential that is tried first.
pub(super) enum FirstCredential {
    Credential(Credential),
    /// The request's credential has ended and none is configured. Public objects can still be fetched.
    Ended,
}

impl From<FirstCredential> for Credential {
    fn from(first: FirstCredential) -> Self {
        match first {
            FirstCredential::Credential(credential) => credential,
            FirstCredential::Ended => Self::Anonymous,
        }
    }
}

impl LotCredential {
    pub(super) async fn first(
        &self,
        orders: &OrdersContext,
        session: Uuid,
        lot: &Lot,
        wanted: &FetchSpec,
    ) -> FirstCredential {
        let (Some(id), Role::Seed) = (&lot.credential, orders.me.role) else {
            return FirstCredential::Credential(own(orders, wanted).unwrap_or_default());
        };
        let given = self.0.get_or_init(|| ask_for(orders, session, id)).await;
        if let Some(given) = given {
            return FirstCredential::Credential(given.clone());
        }
        let configured = configured(orders, session, lot, wanted).await;
        configured.map_or(FirstCredential::Ended, FirstCredential::Credential)
    }
}

async fn ask_for(orders: &OrdersContext, session: Uuid, credential: &str) -> Option<Credential> {
    match orders.manager.credential(session, credential).await {
        Ok(header) => Some(Credential::from_authorization(header.expose())),
        Err(CallError::Gone) => None,
        Err(error) => {
            warn!(stoker.side = "manager", %error, "credential of the preheat is not available");
            None
        }
    }
}

/// Returns the credential configured for the registry, here or at the manager, for when the request's own has ended.
pub(super) async fn configured(
    orders: &OrdersContext,
    session: Uuid,
    lot: &Lot,
    wanted: &FetchSpec,
) -> Option<Credential> {
    if let Some(own) = own(orders, wanted) {
        return Some(own);
    }
    let Location { origin, repository } = &wanted.location;
    let named = format!("registry:{}/{repository}", origin.registry);
    let was_another = lot
        .credential
        .as_ref()
        .is_some_and(|tried| !tried.starts_with("registry:"));
    if orders.me.role != Role::Seed || !was_another || is_downgraded(orders, wanted) {
        return None;
    }
    let header = orders.manager.credential(session, &named).await.ok()?;
    Some(Credential::from_authorization(header.expose()))
}

fn own(orders: &OrdersContext, wanted: &FetchSpec) -> Option<Credential> {
    orders
        .neighbours
        .registries()
        .configured_credential(&wanted.location)
}

/// Returns whether the location uses plain HTTP although its registry is not configured so. The manager does not know the
/// seed's scheme, so the seed checks it.
fn is_downgraded(orders: &OrdersContext, wanted: &FetchSpec) -> bool {
    let location = &wanted.location;
    let configured = orders.neighbours.registries().settings(location.registry());
    location.origin.scheme.is_plain() && configured.is_some_and(|settings| !settings.plain_http)
}
