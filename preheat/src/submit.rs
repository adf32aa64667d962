//! Takes a request: the preheat, its credential and its first work commit together, and nothing else happens
//! here. No registry is asked.

use futures_util::future::BoxFuture;
use queue::{NewWork, enqueue_all};
use sea_orm::{
    ActiveValue::NotSet, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr,
    EntityTrait, QueryFilter, QuerySelect,
};
use serde_json::json;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;
use wire::TraceContext;

use crate::fault::{StorageError, SubmitError};
use crate::labels::Labels;
use crate::limits::milliseconds;
use crate::preheater::{Inner, MANAGER_LANE, Preheater, group_of};
use crate::request::{Origin, PreheatRequest};
use crate::rows::{ROWS_AT_ONCE, credentials, labels, preheats};
use crate::{clusters, image_rules, views};

/// The kinds of the manager's work.
pub(crate) const RESOLVE: &str = "resolve";
pub(crate) const PLAN: &str = "plan";

/// A preheat's number: counted by the database, never used again.
pub type PreheatId = i64;

/// Writes the preheat down and answers; a message that has made one already is answered with that one. `caller` is the
/// id of the token that asked; what follows goes on in `trace`, which is the request's and not this step's.
pub async fn submit(
    preheater: &Preheater,
    caller: Option<&str>,
    request: PreheatRequest,
    trace: Option<TraceContext>,
) -> Result<PreheatId, SubmitError> {
    let span = tracing::info_span!(
        "submit",
        stoker.preheat = Empty,
        stoker.image = %request.image,
        stoker.scope = %request.scope,
    );
    let asked_by = request.asked_by;
    let written = write(&preheater.inner, caller, request, trace);
    let Written { id, is_new } = written.instrument(span.clone()).await?;
    span.record("stoker.preheat", id);
    if is_new {
        preheater.inner.metrics.submitted(asked_by);
    }
    Ok(id)
}

async fn write(
    inner: &Inner,
    caller: Option<&str>,
    request: PreheatRequest,
    trace: Option<TraceContext>,
) -> Result<Written, SubmitError> {
    check_registry(inner, &request)?;
    if let Some(blocked) = image_rules::blocked_image(inner, &request.image).await? {
        return Err(SubmitError::Blocked(blocked));
    }
    request.peers.check(request.scope)?;
    clusters::check(inner, &request.clusters).await?;
    let now = inner.now_ms();
    let sealed = seal(inner, request.credential.as_ref())?;
    let fair_key = fair_key(inner, caller, &request.image);
    let delivery = request.delivery.as_deref().map(cut_to_column);
    let mut row = new_row(inner, caller, &request, trace.as_ref(), now);
    row.fair_key = Set(Some(fair_key.clone()));
    row.delivery = Set(delivery.clone());
    row.credential = Set(sealed.as_ref().map(|sealed| sealed.name.clone()));
    row.had_credential = Set(sealed.is_some());
    let work = NewWork {
        lane: MANAGER_LANE.to_owned(),
        kind: RESOLVE.to_owned(),
        run_at_ms: now,
        priority: request.priority.rank(),
        fair_key: Some(fair_key),
        trace: trace.map(|trace| trace.as_str().to_owned()),
        ..NewWork::default()
    };
    let submission = Submission {
        row,
        sealed,
        labels: request.labels,
        work,
    };
    match inner.submissions.write(&inner.db, submission).await {
        Ok(written) => {
            inner.bell.ring(MANAGER_LANE);
            Ok(written)
        }
        Err(error) => match before_us(inner, delivery).await {
            Some(id) => Ok(Written { id, is_new: false }),
            None => Err(StorageError::from(error).into()),
        },
    }
}

/// Another manager may have taken the same message in the same moment, and the database let one of them in.
async fn before_us(inner: &Inner, delivery: Option<String>) -> Option<PreheatId> {
    of_delivery(inner.reads(), &delivery?).await.ok().flatten()
}

/// What stands in the database for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    id: PreheatId,
    /// Not so for a message that came again.
    is_new: bool,
}

/// Unless preheats open registries, only those that are configured or allowed are asked.
fn check_registry(inner: &Inner, request: &PreheatRequest) -> Result<(), SubmitError> {
    let name = &request.image.registry;
    let is_open = inner.dial.open_by_preheat || inner.registries.knows(name) || inner.dial.allow(name);
    if is_open {
        Ok(())
    } else {
        Err(SubmitError::RegistryNotOpen(name.clone()))
    }
}

/// A preheat on its way into the database.
pub(crate) struct Submission {
    row: preheats::ActiveModel,
    sealed: Option<SealedCredential>,
    labels: Labels,
    /// The first of its work, which is told the preheat's id once there is one.
    work: NewWork,
}

/// What came with a request for the registry.
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
) -> BoxFuture<'_, Result<Vec<Written>, DbErr>> {
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
                written.push(Written { id, is_new: false });
                continue;
            }
            let id = preheats::Entity::insert(row).exec(txn).await?.last_insert_id;
            works.push(of_preheat(id, work));
            secrets.extend(sealed.map(|sealed| sealed.row(id)));
            labels.extend(label_rows(id, &own));
            written.push(Written { id, is_new: true });
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

/// The preheat that the same message has made; a message that comes again makes no second one.
async fn delivered_before(
    txn: &DatabaseTransaction,
    row: &preheats::ActiveModel,
) -> Result<Option<PreheatId>, DbErr> {
    let Some(Some(delivery)) = row.delivery.clone().take() else {
        return Ok(None);
    };
    of_delivery(txn, &delivery).await
}

async fn of_delivery(db: &impl ConnectionTrait, delivery: &str) -> Result<Option<PreheatId>, DbErr> {
    preheats::Entity::find()
        .select_only()
        .column(preheats::Column::Id)
        .filter(preheats::Column::Delivery.eq(delivery))
        .into_tuple()
        .one(db)
        .await
}

/// The next step of a preheat, for the manager itself.
pub(crate) fn work_of_manager(kind: &str, preheat: &preheats::Model, run_at_ms: i64) -> NewWork {
    let work = NewWork {
        lane: MANAGER_LANE.to_owned(),
        kind: kind.to_owned(),
        run_at_ms,
        priority: preheat.priority,
        fair_key: preheat.fair_key.clone(),
        trace: preheat.trace.clone(),
        ..NewWork::default()
    };
    of_preheat(preheat.id, work)
}

fn of_preheat(id: PreheatId, work: NewWork) -> NewWork {
    NewWork {
        payload: json!({ "preheat": id }),
        group: Some(group_of(id)),
        ..work
    }
}

/// Callers take turns, and so do the projects of a registry that one caller asks for.
fn fair_key(inner: &Inner, caller: Option<&str>, image: &oci::ImageReference) -> String {
    let registry = inner.registries.canonical(&image.registry);
    let repository = image.repository.as_str();
    let project = repository.split('/').next().unwrap_or_default();
    cut_to_column(&format!("{}/{registry}/{project}", caller.unwrap_or_default()))
}

/// What a bounded column holds.
fn cut_to_column(text: &str) -> String {
    text.chars().take(255).collect()
}

/// None: nothing that a registry would want to see.
pub(crate) fn seal(
    inner: &Inner,
    credential: Option<&oci::Credential>,
) -> Result<Option<SealedCredential>, StorageError> {
    let Some(secret) = credential.and_then(oci::Credential::authorization) else {
        return Ok(None);
    };
    let name = Uuid::new_v4().to_string();
    let sealed = inner
        .secrets
        .seal(&name, secret.expose())
        .map_err(|broken| StorageError::Broken(broken.to_string()))?;
    Ok(Some(SealedCredential { name, sealed }))
}

/// The tag that the image has. One that came beside a digest counts if it was the registry's own side that named both.
fn tag_of(request: &PreheatRequest) -> Option<&oci::Tag> {
    let image = &request.image;
    let beside_digest = match request.asked_by {
        Origin::Api => None,
        Origin::Harbor | Origin::Kraken | Origin::Notification | Origin::Webhook => image.tag.as_ref(),
    };
    image.wanted.tag().or(beside_digest)
}

fn new_row(
    inner: &Inner,
    caller: Option<&str>,
    request: &PreheatRequest,
    trace: Option<&TraceContext>,
    now: i64,
) -> preheats::ActiveModel {
    let PreheatRequest {
        image,
        scope,
        clusters,
        platforms,
        asked_by,
        ..
    } = request;
    let limit = inner.limits.of_preheat(request.time_limit);
    preheats::ActiveModel {
        id: NotSet,
        image: Set(image.to_string()),
        registry: Set(inner.registries.canonical(&image.registry).to_string()),
        base_path: Set(image.base_path.clone()),
        plain_http: Set(image.plain_http),
        repository: Set(image.repository.to_string()),
        reference: Set(image.wanted.to_string()),
        tag: Set(tag_of(request).map(ToString::to_string)),
        scope: Set(scope.to_string()),
        clusters: Set(json!(clusters).to_string()),
        platforms: Set(json!(platforms).to_string()),
        asked_by: Set(asked_by.word().to_owned()),
        created_by: Set(caller.map(str::to_owned)),
        trace: Set(trace.map(|trace| trace.as_str().to_owned())),
        state: Set(views::PreheatState::Waiting.word().to_owned()),
        reason: Set(None),
        side: Set(None),
        digest: Set(None),
        media_type: Set(None),
        public: Set(false),
        credential: NotSet,
        resolved_ms: Set(None),
        objects_total: Set(0),
        image_bytes: Set(0),
        bytes_total: Set(0),
        bytes_done: Set(0),
        placements_total: Set(0),
        placements_open: Set(0),
        placements_verified: Set(0),
        placements_failed: Set(0),
        placements_left: Set(0),
        tolerated_absent: Set(None),
        created_ms: Set(now),
        updated_ms: Set(now),
        finished_ms: Set(None),
        deadline_ms: Set(Some(now + milliseconds(limit))),
        no_seed_deadline_ms: Set(None),
        seed_check_ms: Set(None),
        peer_choice: Set(Some(json!(request.peers).to_string())),
        priority: Set(request.priority.rank()),
        time_limit_ms: Set(request.time_limit.map(milliseconds)),
        referrers: Set(request.referrers),
        had_credential: NotSet,
        delivery: NotSet,
        fair_key: NotSet,
        follows: Set(None),
        share_key: Set(None),
        attempt: Set(1),
        notes: Set(None),
        retried_ms: Set(None),
        tells: Set(inner.webhooks.tells()),
        labels: Set(request.labels.to_json()),
    }
}
