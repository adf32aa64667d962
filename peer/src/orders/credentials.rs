//! What a lot's objects are fetched with: the request's own credential, then what is configured for the registry.
//!
//! **Invariant:** a configured credential never travels more openly than its registry is configured for.

use std::sync::Arc;

use oci::{Credential, Location};
use tokio::sync::OnceCell;
use tracing::warn;
use uuid::Uuid;
use wire::{CallError, Lot, Role};

use super::Orders;
use crate::fetch::FetchSpec;

/// The credential that came with the request; asked for once, and only if somebody needs it. None: it is gone.
#[derive(Clone, Default)]
pub(super) struct LotCredential(Arc<OnceCell<Option<Credential>>>);

/// What is tried first.
pub(super) enum First {
    Credential(Credential),
    /// There was one, and neither it nor a configured one is to be had: what anybody may read is there all the same.
    Ended,
}

impl From<First> for Credential {
    fn from(first: First) -> Self {
        match first {
            First::Credential(credential) => credential,
            First::Ended => Self::Anonymous,
        }
    }
}

impl LotCredential {
    pub(super) async fn first(&self, orders: &Orders, session: Uuid, lot: &Lot, wanted: &FetchSpec) -> First {
        let (Some(id), Role::Seed) = (&lot.credential, orders.me.role) else {
            return First::Credential(own(orders, wanted).unwrap_or_default());
        };
        let given = self.0.get_or_init(|| ask_for(orders, session, id)).await;
        if let Some(given) = given {
            return First::Credential(given.clone());
        }
        let configured = configured(orders, session, lot, wanted).await;
        configured.map_or(First::Ended, First::Credential)
    }
}

async fn ask_for(orders: &Orders, session: Uuid, credential: &str) -> Option<Credential> {
    match orders.manager.credential(session, credential).await {
        Ok(header) => Some(Credential::from_authorization(header.expose())),
        Err(CallError::Gone) => None,
        Err(error) => {
            warn!(stoker.side = "manager", %error, "the credential of this preheat cannot be had");
            None
        }
    }
}

/// What is configured for the registry, here or at the manager, for when the request's own credential ended.
pub(super) async fn configured(
    orders: &Orders,
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

fn own(orders: &Orders, wanted: &FetchSpec) -> Option<Credential> {
    orders
        .neighbours
        .registries()
        .configured_credential(&wanted.location)
}

/// The manager does not know which scheme a seed is about to use, so the seed has to look.
fn is_downgraded(orders: &Orders, wanted: &FetchSpec) -> bool {
    let location = &wanted.location;
    let configured = orders.neighbours.registries().settings(location.registry());
    location.origin.scheme.is_plain() && configured.is_some_and(|settings| !settings.plain_http)
}
