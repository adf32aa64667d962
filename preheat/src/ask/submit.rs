//! Takes a request: the preheat, its credential and its first work commit together. No registry is asked here.

use queue::NewWork;
use sea_orm::ActiveValue::{NotSet, Set};
use serde_json::json;
use tracing::Instrument;
use tracing::field::Empty;
use wire::TraceContext;

use crate::engine::preheater::{Inner, Preheater};
use crate::engine::submission::{Submission, Submitted, of_delivery, seal};
use crate::engine::work::{MANAGER_LANE, RESOLVE};
use crate::image_rules;
use crate::model::errors::{StorageError, SubmitError};
use crate::model::limits::milliseconds;
use crate::model::request::{PreheatRequest, Requester};
use crate::model::state::{PreheatId, PreheatState};
use crate::peers::clusters;
use crate::rows::preheats;

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
    let Submitted { id, is_new } = written.instrument(span.clone()).await?;
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
) -> Result<Submitted, SubmitError> {
    check_registry(inner, &request)?;
    if let Some(blocked) = image_rules::blocked_image(inner, &request.image).await? {
        return Err(SubmitError::Blocked(blocked));
    }
    request.peers.check(request.scope)?;
    clusters::check(inner, &request.clusters).await?;
    let now = inner.now_ms();
    let sealed = seal(&inner.secrets, request.credential.as_ref())?;
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
            Some(id) => Ok(Submitted { id, is_new: false }),
            None => Err(StorageError::from(error).into()),
        },
    }
}

/// Another manager may have taken the same message in the same moment, and the database let one of them in.
async fn before_us(inner: &Inner, delivery: Option<String>) -> Option<PreheatId> {
    of_delivery(inner.reads(), &delivery?).await.ok().flatten()
}

/// Returns an error for a registry that is neither configured nor allowed, unless preheats may open registries.
fn check_registry(inner: &Inner, request: &PreheatRequest) -> Result<(), SubmitError> {
    let name = &request.image.registry;
    let is_open = inner.dial.open_by_preheat || inner.registries.knows(name) || inner.dial.allow(name);
    if is_open {
        Ok(())
    } else {
        Err(SubmitError::RegistryNotOpen(name.clone()))
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

/// The tag that the image has. One that came beside a digest counts if it was the registry's own side that named both.
fn tag_of(request: &PreheatRequest) -> Option<&oci::Tag> {
    let image = &request.image;
    let beside_digest = match request.asked_by {
        Requester::Api => None,
        Requester::Harbor | Requester::Kraken | Requester::Notification | Requester::Webhook => {
            image.tag.as_ref()
        }
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
        state: Set(PreheatState::Waiting.word().to_owned()),
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
