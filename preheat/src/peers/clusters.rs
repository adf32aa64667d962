//! Clusters: made with the first join token that names them, looked up by every request. The list is small and kept in
//! memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use wire::ClusterName;

use crate::engine::preheater::Inner;
use crate::model::errors::{StorageError, SubmitError};
use crate::model::scope::ClusterChoice;
use crate::rows::clusters;

/// Returns the known clusters by id; reads the database when `is_enough` returns false.
pub(crate) async fn known(
    inner: &Inner,
    is_enough: impl Fn(&BTreeMap<i64, String>) -> bool,
) -> Result<Arc<BTreeMap<i64, String>>, DbErr> {
    let known = inner.clusters.get();
    if !known.is_empty() && is_enough(&known) {
        return Ok(known);
    }
    let rows = clusters::Entity::find().all(inner.reads()).await?;
    let known: Arc<BTreeMap<i64, String>> =
        Arc::new(rows.into_iter().map(|row| (row.id, row.name)).collect());
    inner.clusters.put(Arc::clone(&known));
    Ok(known)
}

pub(crate) async fn name_of(inner: &Inner, id: i64) -> Result<String, DbErr> {
    let known = known(inner, |known| known.contains_key(&id)).await?;
    Ok(known.get(&id).cloned().unwrap_or_else(|| format!("cluster {id}")))
}

/// Refuses a request that names a cluster which does not exist.
pub(crate) async fn check(inner: &Inner, choice: &ClusterChoice) -> Result<(), SubmitError> {
    if *choice == ClusterChoice::All {
        return Ok(());
    }
    let known = known(inner, |known| unknown(choice, known).is_none())
        .await
        .map_err(StorageError::from)?;
    match unknown(choice, &known) {
        None => Ok(()),
        Some(wanted) => {
            let known = known.iter().map(|(id, name)| format!("{name} ({id})")).collect();
            Err(SubmitError::UnknownCluster { wanted, known })
        }
    }
}

fn unknown(choice: &ClusterChoice, known: &BTreeMap<i64, String>) -> Option<String> {
    match choice {
        ClusterChoice::All => None,
        ClusterChoice::Ids(ids) => ids.iter().find(|id| !known.contains_key(id)).map(i64::to_string),
        ClusterChoice::Names(names) => {
            let is_unknown = |name: &&String| !known.values().any(|known| known == *name);
            names
                .iter()
                .find(is_unknown)
                .map(|name| format!("{:?}", name.chars().take(100).collect::<String>()))
        }
    }
}

/// The cluster's id; a name that is new becomes a cluster. None: there are `at_most` clusters already.
pub(crate) async fn ensure(
    txn: &impl ConnectionTrait,
    name: &ClusterName,
    at_most: u64,
) -> Result<Option<i64>, DbErr> {
    let found = clusters::Entity::find()
        .filter(clusters::Column::Name.eq(name.as_str()))
        .one(txn)
        .await?;
    if let Some(row) = found {
        return Ok(Some(row.id));
    }
    if clusters::Entity::find().count(txn).await? >= at_most {
        return Ok(None);
    }
    let row = clusters::ActiveModel {
        name: Set(name.to_string()),
        ..Default::default()
    };
    Ok(Some(
        clusters::Entity::insert(row).exec(txn).await?.last_insert_id,
    ))
}
