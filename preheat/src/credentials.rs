//! Credentials by name: a request's own, sealed in the database while its preheat is open, and the configured
//! ones, which are never stored.

use oci::{Credential, RegistryName, Repository};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use uuid::Uuid;
use wire::SecretText;

use crate::fault::{SessionError, StorageError};
use crate::preheater::{Inner, Preheater};
use crate::rows::{credentials, lots, preheats};
use crate::sessions;

/// Names what is configured for a registry, or for one of its repositories: `registry:harbor.example.com`,
/// `registry:harbor.example.com/team-a/app`.
const CONFIGURED: &str = "registry:";
/// What the columns that keep names have room for.
const LONGEST_NAME: usize = 300;

/// With the repository where the credential is looked up by it.
pub(crate) fn configured_name(
    registry: &RegistryName,
    repository: &Repository,
    credential: &Credential,
) -> String {
    let of_registry = format!("{CONFIGURED}{registry}");
    let of_repository = format!("{of_registry}/{repository}");
    if matches!(credential, Credential::Kept(_)) && of_repository.len() <= LONGEST_NAME {
        return of_repository;
    }
    of_registry
}

/// What follows [`CONFIGURED`] in a name.
fn read_configured(name: &str) -> Option<(RegistryName, Option<Repository>)> {
    let (registry, repository) = match name.split_once('/') {
        Some((registry, repository)) => (registry, Some(repository.parse().ok()?)),
        None => (name, None),
    };
    Some((registry.parse().ok()?, repository))
}

/// What is configured for a registry, if that is more than nothing.
pub(crate) fn configured(inner: &Inner, registry: &RegistryName) -> Option<Credential> {
    let credential = inner.registries.settings(registry)?.credential;
    (!credential.is_anonymous()).then_some(credential)
}

/// The request's own credential, opened.
pub(crate) async fn of_preheat(inner: &Inner, name: &str) -> Result<Option<Credential>, StorageError> {
    let Some(row) = credentials::Entity::find_by_id(name).one(inner.reads()).await? else {
        return Ok(None);
    };
    let opened = inner
        .secrets
        .open(name, &row.sealed)
        .map_err(|broken| StorageError::Broken(broken.to_string()))?;
    Ok(Some(Credential::from_authorization(&opened)))
}

pub(crate) async fn forget(txn: &impl ConnectionTrait, preheat: i64) -> Result<(), DbErr> {
    let of_preheat = credentials::Column::PreheatId.eq(preheat);
    credentials::Entity::delete_many()
        .filter(of_preheat)
        .exec(txn)
        .await
        .map(drop)
}

/// An `Authorization` value for a seed that has an open lot of the preheat, or of an image of the registry, in question;
/// none when it is gone or was never this seed's business.
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
    let (credential, repository) = match name.strip_prefix(CONFIGURED).map(read_configured) {
        Some(Some((registry, repository))) if fetches_from(inner, &peer.id, &registry).await? => {
            (configured(inner, &registry), repository)
        }
        None if works_for(inner, &peer.id, name).await? => (of_preheat(inner, name).await?, None),
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

/// A credential that is kept elsewhere, or nobody's: what cannot be looked up here is not had there either.
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
    let Some(row) = credentials::Entity::find_by_id(name).one(inner.reads()).await? else {
        return Ok(false);
    };
    let open_lots = lots::Entity::find()
        .filter(lots::Column::PreheatId.eq(row.preheat_id))
        .filter(lots::Column::PeerId.eq(peer.to_string()))
        .filter(lots::Column::Open.gt(0));
    Ok(open_lots.count(inner.reads()).await? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_for(credential: &Credential, repository: &str) -> (String, Option<Repository>) {
        let registry: RegistryName = "h.example:5000".parse().expect("a registry");
        let repository = repository.parse().expect("a repository");
        let name = configured_name(&registry, &repository, credential);
        let (read, repository) = read_configured(&name[CONFIGURED.len()..]).expect("a name");
        assert_eq!(read, registry);
        (name, repository)
    }

    #[test]
    fn a_credential_that_is_looked_up_is_named_with_its_repository() {
        let registry: RegistryName = "h.example:5000".parse().expect("a registry");
        let kept = oci::KeptCredential::in_docker_config("/x".as_ref(), registry);
        let kept = Credential::Kept(kept);
        let (name, repository) = name_for(&kept, "team-b/app");
        assert_eq!(name, "registry:h.example:5000/team-b/app");
        assert_eq!(repository.expect("one").as_str(), "team-b/app");
        let (name, repository) = name_for(&Credential::from_authorization("Bearer x"), "team-b/app");
        assert_eq!((name.as_str(), repository), ("registry:h.example:5000", None));
    }

    #[test]
    fn no_name_is_longer_than_its_column_and_none_is_read_as_another() {
        let registry: RegistryName = "h.example:5000".parse().expect("a registry");
        let kept = oci::KeptCredential::in_docker_config("/x".as_ref(), registry);
        let deep = "a/".repeat(126) + "a";
        assert!(name_for(&Credential::Kept(kept), &deep).0.len() <= LONGEST_NAME);
        for junk in [
            "",
            "/",
            "h.example/",
            "h.example//a",
            "h.example/../a",
            "h.example/A",
        ] {
            assert!(read_configured(junk).is_none(), "{junk}");
        }
    }
}
