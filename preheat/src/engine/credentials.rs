//! Credentials by name: a request's own, sealed in the database while its preheat is open, and the configured
//! ones, which are never stored.

use oci::{Credential, RegistryName, Repository};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::preheater::Inner;
use crate::model::errors::StorageError;
use crate::rows::credentials;

/// Names what is configured for a registry, or for one of its repositories: `registry:harbor.example.com`,
/// `registry:harbor.example.com/team-a/app`.
pub(crate) const CONFIGURED: &str = "registry:";
/// The length of the columns that keep names.
const LONGEST_NAME: usize = 300;

/// Includes the repository if the credential is looked up by it.
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
pub(crate) fn read_configured(name: &str) -> Option<(RegistryName, Option<Repository>)> {
    let (registry, repository) = match name.split_once('/') {
        Some((registry, repository)) => (registry, Some(repository.parse().ok()?)),
        None => (name, None),
    };
    Some((registry.parse().ok()?, repository))
}

/// Returns the configured credential of a registry, unless it is anonymous.
pub(crate) fn configured(inner: &Inner, registry: &RegistryName) -> Option<Credential> {
    let credential = inner.registries.settings(registry)?.credential;
    (!credential.is_anonymous()).then_some(credential)
}

/// Returns the request's own credential, decrypted.
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
        let kept = oci::KeptCredential::in_docker_config("/x".as_ref(), registry, oci::Scheme::Https);
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
        let kept = oci::KeptCredential::in_docker_config("/x".as_ref(), registry, oci::Scheme::Https);
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
