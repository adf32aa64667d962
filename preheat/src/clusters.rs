//! Clusters: made with the first join token that names them, looked up by every request. The list is small and kept in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use wire::ClusterName;

use crate::fault::{StorageError, SubmitError};
use crate::preheater::{Inner, Preheater};
use crate::rows::{clusters, peers};
use crate::scope::ClusterChoice;
use crate::views::ClusterView;

/// Clusters by id. None is ever renamed or removed, so what is known stays true.
#[derive(Default)]
pub(crate) struct KnownClusters(Mutex<Arc<BTreeMap<i64, String>>>);

impl KnownClusters {
    fn get(&self) -> Arc<BTreeMap<i64, String>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read_anew(&self, db: &impl ConnectionTrait) -> Result<Arc<BTreeMap<i64, String>>, DbErr> {
        let rows = clusters::Entity::find().all(db).await?;
        let known: Arc<BTreeMap<i64, String>> =
            Arc::new(rows.into_iter().map(|row| (row.id, row.name)).collect());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        Ok(known)
    }
}

/// Every cluster by id, as far as this process knows; the database is asked when `is_enough` says no.
pub(crate) async fn known(
    inner: &Inner,
    is_enough: impl Fn(&BTreeMap<i64, String>) -> bool,
) -> Result<Arc<BTreeMap<i64, String>>, DbErr> {
    let known = inner.clusters.get();
    if !known.is_empty() && is_enough(&known) {
        return Ok(known);
    }
    inner.clusters.read_anew(inner.reads()).await
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

/// Every cluster, with how many live seeds and nodes it has.
pub async fn clusters(preheater: &Preheater) -> Result<Vec<ClusterView>, StorageError> {
    let db = preheater.inner.reads();
    let rows = clusters::Entity::find()
        .order_by_asc(clusters::Column::Id)
        .all(db)
        .await?;
    let live: Vec<(i64, bool)> = peers::Entity::find()
        .select_only()
        .columns([peers::Column::ClusterId, peers::Column::Seed])
        .filter(peers::Column::Session.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    let count = |id: i64, seed: bool| live.iter().filter(|peer| **peer == (id, seed)).count() as u64;
    let view = |row: clusters::Model| ClusterView {
        seeds: count(row.id, true),
        nodes: count(row.id, false),
        id: row.id,
        name: row.name,
    };
    Ok(rows.into_iter().map(view).collect())
}
