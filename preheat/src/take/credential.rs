//! Gives a seed the credential that its open lots need.

use oci::{Credential, RegistryName, Repository};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use uuid::Uuid;
use wire::SecretText;

use crate::engine::credentials;
use crate::engine::credentials::CONFIGURED;
use crate::engine::preheater::{Inner, Preheater};
use crate::model::errors::SessionError;
use crate::peers::sessions;
use crate::rows::{credentials as credential_rows, lots, preheats};

/// An `Authorization` value for a seed that has an open lot of the preheat, or of an image of the registry, in
/// question;
/// none if it was deleted, or if this seed has no lot that needs it.
pub async fn credential(
    preheater: &Preheater,
    session: Uuid,
    name: &str,
) -> Result<Option<SecretText>, SessionError> {
    let inner = &preheater.inner;
    let peer = sessions::live(inner, session).await?;
    if !peer.seed {
        return Ok(None);
    }
    let (credential, repository) = match name.strip_prefix(CONFIGURED).map(credentials::read_configured) {
        Some(Some((registry, repository))) if fetches_from(inner, &peer.id, &registry).await? => {
            (credentials::configured(inner, &registry), repository)
        }
        None if works_for(inner, &peer.id, name).await? => {
            (credentials::of_preheat(inner, name).await?, None)
        }
        Some(_) | None => (None, None),
    };
    let value = match credential {
        Some(credential) => looked_up(name, &credential, repository.as_ref())
            .await
            .authorization(),
        None => None,
    };
    Ok(value.map(|value| SecretText::new(value.expose())))
}

/// Returns the kept credential, or the anonymous one where the lookup fails.
async fn looked_up(name: &str, credential: &Credential, repository: Option<&Repository>) -> Credential {
    let found = credential.looked_up(repository).await;
    found.unwrap_or_else(|error| {
        let registry = name.strip_prefix(CONFIGURED).unwrap_or_default();
        tracing::warn!(stoker.registry = registry, stoker.side = "manager", %error, "a configured credential cannot be looked up");
        Credential::Anonymous
    })
}

/// Whether the peer has an open lot of an image of this registry.
async fn fetches_from(inner: &Inner, peer: &Uuid, registry: &RegistryName) -> Result<bool, SessionError> {
    let open_lots = Query::select()
        .column(lots::Column::PreheatId)
        .from(lots::Entity)
        .and_where(lots::Column::PeerId.eq(peer.to_string()))
        .and_where(lots::Column::Open.gt(0))
        .to_owned();
    let registries: Vec<String> = preheats::Entity::find()
        .select_only()
        .column(preheats::Column::Registry)
        .distinct()
        .filter(preheats::Column::Id.in_subquery(open_lots))
        .into_tuple()
        .all(inner.reads())
        .await?;
    let wanted = inner.registries.canonical(registry);
    let is_it = |name: &String| {
        name.parse()
            .is_ok_and(|name| inner.registries.canonical(&name) == wanted)
    };
    Ok(registries.iter().any(is_it))
}

async fn works_for(inner: &Inner, peer: &Uuid, name: &str) -> Result<bool, SessionError> {
    let Some(row) = credential_rows::Entity::find_by_id(name)
        .one(inner.reads())
        .await?
    else {
        return Ok(false);
    };
    let open_lots = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(row.preheat_id))
        .filter(lots::Column::PeerId.eq(peer.to_string()))
        .filter(lots::Column::Open.gt(0));
    Ok(open_lots.count(inner.reads()).await? > 0)
}
