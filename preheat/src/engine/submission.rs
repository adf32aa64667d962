//! A preheat that is about to be stored, with its credential and its first work item. Preheats of the same moment are
//! written together.

use futures_util::future::BoxFuture;
use queue::{NewWork, enqueue_all};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
};
use uuid::Uuid;

use super::secret_box::SecretBox;
use super::work;
use crate::model::errors::StorageError;
use crate::model::labels::Labels;
use crate::model::state::PreheatId;
use crate::rows::{ROWS_AT_ONCE, credentials, labels, preheats};

/// The preheat that was written for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Submitted {
    pub(crate) id: PreheatId,
    /// False for a repeated message.
    pub(crate) is_new: bool,
}

/// A preheat that is about to be stored.
pub(crate) struct Submission {
    pub(crate) row: preheats::ActiveModel,
    pub(crate) sealed: Option<SealedCredential>,
    pub(crate) labels: Labels,
    /// Its first work item; the preheat's id is filled in once it is known.
    pub(crate) work: NewWork,
}

/// The encrypted credential of a request.
pub(crate) struct SealedCredential {
    pub(crate) name: String,
    sealed: Vec<u8>,
}

impl SealedCredential {
    pub(crate) fn row(self, preheat: i64) -> credentials::ActiveModel {
        credentials::ActiveModel {
            id: Set(self.name),
            preheat_id: Set(preheat),
            sealed: Set(self.sealed),
        }
    }
}

/// Writes preheats that were submitted in the same moment, each with its credential and its first work.
pub(crate) fn write_all(
    txn: &DatabaseTransaction,
    submissions: Vec<Submission>,
) -> BoxFuture<'_, Result<Vec<Submitted>, DbErr>> {
    Box::pin(async move {
        let mut written = Vec::with_capacity(submissions.len());
        let (mut works, mut secrets, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for submission in submissions {
            let Submission {
                row,
                sealed,
                labels: own,
                work,
            } = submission;
            if let Some(id) = delivered_before(txn, &row).await? {
                written.push(Submitted { id, is_new: false });
                continue;
            }
            let id = preheats::Entity::insert(row).exec(txn).await?.last_insert_id;
            works.push(work::of_preheat(id, work));
            secrets.extend(sealed.map(|sealed| sealed.row(id)));
            labels.extend(label_rows(id, &own));
            written.push(Submitted { id, is_new: true });
        }
        let now = works.last().map_or(0, |last| last.run_at_ms);
        enqueue_all(txn, &works, now).await?;
        if !secrets.is_empty() {
            credentials::Entity::insert_many(secrets)
                .exec_without_returning(txn)
                .await?;
        }
        write_labels(txn, labels).await?;
        Ok(written)
    })
}

fn label_rows(preheat: PreheatId, labels: &Labels) -> impl Iterator<Item = labels::ActiveModel> {
    labels.digests().map(move |label| labels::ActiveModel {
        label: Set(label),
        preheat_id: Set(preheat),
    })
}

async fn write_labels(txn: &DatabaseTransaction, rows: Vec<labels::ActiveModel>) -> Result<(), DbErr> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        labels::Entity::insert_many(rows.to_vec())
            .exec_without_returning(txn)
            .await?;
    }
    Ok(())
}

/// Returns the preheat of the same message, so that a repeated message does not create a second one.
async fn delivered_before(
    txn: &DatabaseTransaction,
    row: &preheats::ActiveModel,
) -> Result<Option<PreheatId>, DbErr> {
    let Some(Some(delivery)) = row.delivery.clone().take() else {
        return Ok(None);
    };
    of_delivery(txn, &delivery).await
}

pub(crate) async fn of_delivery(
    db: &impl ConnectionTrait,
    delivery: &str,
) -> Result<Option<PreheatId>, DbErr> {
    preheats::Entity::find()
        .select_only()
        .column(preheats::Column::Id)
        .filter(preheats::Column::Delivery.eq(delivery))
        .into_tuple()
        .one(db)
        .await
}

/// Returns none for an anonymous request.
pub(crate) fn seal(
    secrets: &SecretBox,
    credential: Option<&oci::Credential>,
) -> Result<Option<SealedCredential>, StorageError> {
    let Some(secret) = credential.and_then(oci::Credential::authorization) else {
        return Ok(None);
    };
    let name = Uuid::new_v4().to_string();
    let sealed = secrets
        .seal(&name, secret.expose())
        .map_err(|broken| StorageError::Broken(broken.to_string()))?;
    Ok(Some(SealedCredential { name, sealed }))
}
