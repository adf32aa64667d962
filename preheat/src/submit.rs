//! Takes a request: the preheat, its credential and its first work commit together, and nothing else happens
//! here. No registry is asked.

use futures_util::future::BoxFuture;
use queue::{NewWork, enqueue_all};
use sea_orm::{ActiveValue::NotSet, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use serde_json::json;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;
use wire::TraceContext;

use crate::fault::{StorageError, SubmitError};
use crate::limits::milliseconds;
use crate::preheater::{Inner, MANAGER_LANE, Preheater, group_of};
use crate::request::PreheatRequest;
use crate::rows::{credentials, preheats};
use crate::{clusters, views};

/// The kinds of the manager's work.
pub(crate) const RESOLVE: &str = "resolve";
pub(crate) const PLAN: &str = "plan";

/// A preheat's number: counted by the database, never used again.
pub type PreheatId = i64;

/// Writes the preheat down and answers. `caller` is the id of the token that asked; what follows goes on in `trace`,
/// which is the request's and not this step's.
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
    let id = written.instrument(span.clone()).await?;
    span.record("stoker.preheat", id);
    preheater.inner.metrics.submitted(asked_by);
    Ok(id)
}

async fn write(
    inner: &Inner,
    caller: Option<&str>,
    request: PreheatRequest,
    trace: Option<TraceContext>,
) -> Result<PreheatId, SubmitError> {
    clusters::check(inner, &request.clusters).await?;
    let now = inner.now_ms();
    let sealed = seal(inner, &request)?;
    let mut row = new_row(inner, caller, &request, trace.as_ref(), now);
    row.credential = Set(sealed.as_ref().map(|(id, _)| id.clone()));
    let trace = trace.map(|trace| trace.as_str().to_owned());
    let submission = Submission {
        row,
        sealed,
        trace,
        now,
    };
    let id = inner
        .submissions
        .write(&inner.db, submission)
        .await
        .map_err(StorageError::from)?;
    inner.bell.ring(MANAGER_LANE);
    Ok(id)
}

/// A preheat on its way into the database.
pub(crate) struct Submission {
    row: preheats::ActiveModel,
    /// Name and sealed text of the credential that came with it.
    sealed: Option<(String, Vec<u8>)>,
    trace: Option<String>,
    now: i64,
}

/// Writes preheats that were submitted in the same moment, each with its credential and its first work.
pub(crate) fn write_all(
    txn: &DatabaseTransaction,
    submissions: Vec<Submission>,
) -> BoxFuture<'_, Result<Vec<PreheatId>, DbErr>> {
    Box::pin(async move {
        let mut ids = Vec::with_capacity(submissions.len());
        let (mut work, mut secrets) = (Vec::new(), Vec::new());
        let now = submissions.last().map_or(0, |last| last.now);
        for Submission {
            row,
            sealed,
            trace,
            now,
        } in submissions
        {
            let id = preheats::Entity::insert(row).exec(txn).await?.last_insert_id;
            work.push(work_of_manager(RESOLVE, id, trace, now));
            secrets.extend(sealed.map(|(name, sealed)| credentials::ActiveModel {
                id: Set(name),
                preheat_id: Set(id),
                sealed: Set(sealed),
            }));
            ids.push(id);
        }
        enqueue_all(txn, &work, now).await?;
        if !secrets.is_empty() {
            credentials::Entity::insert_many(secrets)
                .exec_without_returning(txn)
                .await?;
        }
        Ok(ids)
    })
}

/// The next step of a preheat, for the manager itself.
pub(crate) fn work_of_manager(kind: &str, preheat: i64, trace: Option<String>, run_at_ms: i64) -> NewWork {
    NewWork {
        lane: MANAGER_LANE.to_owned(),
        kind: kind.to_owned(),
        payload: json!({ "preheat": preheat }),
        run_at_ms,
        priority: 0,
        trace,
        group: Some(group_of(preheat)),
    }
}

fn seal(inner: &Inner, request: &PreheatRequest) -> Result<Option<(String, Vec<u8>)>, SubmitError> {
    let Some(secret) = request
        .credential
        .as_ref()
        .and_then(oci::Credential::authorization)
    else {
        return Ok(None);
    };
    let id = Uuid::new_v4().to_string();
    let sealed = inner
        .secrets
        .seal(&id, secret.expose())
        .map_err(|broken| StorageError::Broken(broken.to_string()))?;
    Ok(Some((id, sealed)))
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
    let limit = request.time_limit.unwrap_or(inner.limits.preheat_limit);
    preheats::ActiveModel {
        id: NotSet,
        image: Set(image.to_string()),
        registry: Set(inner.registries.canonical(&image.registry).to_string()),
        base_path: Set(image.base_path.clone()),
        plain_http: Set(image.plain_http),
        repository: Set(image.repository.to_string()),
        reference: Set(image.wanted.to_string()),
        tag: Set(image.wanted.tag().map(ToString::to_string)),
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
        had_credential: Set(request.credential.is_some()),
        delivery: Set(request.delivery.clone()),
        fair_key: Set(None),
        follows: Set(None),
        share_key: Set(None),
        attempt: Set(1),
        notes: Set(None),
    }
}
