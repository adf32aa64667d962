//! Notices for receivers: stored with the change that they report, delivered by a worker afterwards.
//!
//! **Invariant:** a notice is work that commits together with the change. It is delivered until the receiver accepts
//! it, for a day at most, under one delivery id. A restart of the manager changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use queue::{Claimed, Failure, NewWork, Perform, Urgency, complete, enqueue_all};
use sea_orm::{DbErr, EntityTrait};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use wire::TraceContext;

use crate::engine::preheater::Inner;
use crate::engine::step::Step;
use crate::engine::work::{TELL, WEBHOOK_LANE};
use crate::model::limits::milliseconds;
use crate::model::webhook::{CALL_LIMIT, NOTICE_LIMIT, Webhook, WebhookCall, WebhookEvent};
use crate::rows::damaged::or_skip;
use crate::rows::preheats;

/// The body of a notice, as documented.
#[derive(Serialize)]
struct Notice<'a> {
    event: &'static str,
    /// The same for each attempt to deliver it.
    delivery: &'a str,
    at_ms: i64,
    preheat: NoticedPreheat<'a>,
}

#[derive(Serialize)]
struct NoticedPreheat<'a> {
    id: i64,
    image: &'a str,
    registry: &'a str,
    repository: &'a str,
    reference: &'a str,
    digest: Option<&'a str>,
    scope: &'a str,
    state: &'a str,
    reason: Option<&'a str>,
    side: Option<&'a str>,
    attempt: i64,
    follows: Option<i64>,
    asked_by: &'a str,
    created_by: Option<&'a str>,
    created_ms: i64,
    finished_ms: Option<i64>,
    objects_total: i64,
    image_bytes: i64,
    bytes_total: i64,
    bytes_done: i64,
    placements_total: i64,
    placements_verified: i64,
    placements_failed: i64,
    trace_id: Option<String>,
    labels: BTreeMap<String, String>,
}

/// Enqueues the notices of an event, with the preheat as it is within this transaction.
pub(crate) async fn notify(
    step: &mut Step<'_>,
    preheat: &preheats::Model,
    event: WebhookEvent,
) -> Result<(), DbErr> {
    let tells = or_skip(preheat.tells()).unwrap_or_default();
    let receivers = tells.receivers_of(event);
    if receivers.is_empty() {
        return Ok(());
    }
    let Some(row) = preheats::Entity::find_by_id(preheat.id).one(step.txn).await? else {
        return Ok(());
    };
    let work: Vec<NewWork> = receivers
        .into_iter()
        .map(|receiver| work(receiver, &row, event, step.now))
        .collect();
    enqueue_all(step.txn, &work, step.now).await?;
    step.effects.lanes.push(WEBHOOK_LANE.to_owned());
    Ok(())
}

fn work(receiver: &str, row: &preheats::Model, event: WebhookEvent, now: i64) -> NewWork {
    let delivery = Uuid::new_v4().to_string();
    let body = json!(notice(&delivery, row, event, now)).to_string();
    NewWork {
        lane: WEBHOOK_LANE.to_owned(),
        kind: TELL.to_owned(),
        payload: json!({ "receiver": receiver, "event": event.word(), "delivery": delivery, "body": body }),
        run_at_ms: now,
        trace: row.trace.clone(),
        // A receiver that does not answer keeps the others' waiting short.
        fair_key: Some(receiver.chars().take(255).collect()),
        ..NewWork::default()
    }
}

fn notice<'a>(delivery: &'a str, row: &'a preheats::Model, event: WebhookEvent, at_ms: i64) -> Notice<'a> {
    let trace = row.trace.as_deref().and_then(TraceContext::parse);
    let (scope, state, side, asked_by) = row.noticed_words();
    Notice {
        event: event.word(),
        delivery,
        at_ms,
        preheat: NoticedPreheat {
            id: row.id,
            image: &row.image,
            registry: &row.registry,
            repository: &row.repository,
            reference: &row.reference,
            digest: row.digest.as_deref(),
            scope,
            state,
            reason: row.reason.as_deref(),
            side,
            attempt: row.attempt,
            follows: row.follows,
            asked_by,
            created_by: row.created_by.as_deref(),
            created_ms: row.created_ms,
            finished_ms: row.finished_ms,
            objects_total: row.objects_total,
            image_bytes: row.image_bytes,
            bytes_total: row.bytes_total,
            bytes_done: row.bytes_done,
            placements_total: row.placements_total,
            placements_verified: row.placements_verified,
            placements_failed: row.placements_failed,
            trace_id: trace.map(|trace| trace.trace_id().to_owned()),
            labels: or_skip(row.labels()).unwrap_or_default().into_map(),
        },
    }
}

/// Performs the work of the webhooks' lane.
pub(crate) struct DeliverNotices(pub(crate) Arc<Inner>);

#[async_trait]
impl Perform for DeliverNotices {
    async fn perform(&self, claimed: &Claimed) -> Result<(), Failure> {
        let inner = &self.0;
        let name = text_of(claimed, "receiver");
        let (Some(webhook), Some(sender)) = (inner.webhooks.named(name), &inner.webhooks.sender) else {
            return Err(Failure::GiveUp(format!(
                "webhook {name} is not configured any more"
            )));
        };
        let sent = tokio::time::timeout(CALL_LIMIT, sender.send(&call(webhook, claimed))).await;
        let failed = match sent {
            Ok(Ok(status)) if (200..300).contains(&status) => None,
            Ok(Ok(status)) => Some(format!("it answered {status}")),
            Ok(Err(error)) => Some(error),
            Err(_) => Some(format!("no answer within {} s", CALL_LIMIT.as_secs())),
        };
        inner.metrics.webhook_called(failed.is_none());
        let Some(cause) = failed else { return Ok(()) };
        let why = format!(
            "webhook {name} did not take {}: {cause}",
            text_of(claimed, "event")
        );
        if inner.now_ms() - claimed.created_ms >= milliseconds(NOTICE_LIMIT) {
            return Err(Failure::GiveUp(why));
        }
        Err(Failure::Retry(why))
    }

    async fn gave_up(&self, claimed: &Claimed, _: &str) -> Result<(), Failure> {
        let (id, fence, holder) = (claimed.id, claimed.fence, claimed.holder);
        let ended = self.0.write(Urgency::Background, move |txn| {
            Box::pin(async move { complete(txn, id, fence, holder).await })
        });
        match ended.await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Retry(error.to_string())),
        }
    }
}

fn text_of<'a>(claimed: &'a Claimed, key: &str) -> &'a str {
    let value = claimed.payload.get(key);
    value.and_then(serde_json::Value::as_str).unwrap_or_default()
}

fn call(webhook: &Webhook, claimed: &Claimed) -> WebhookCall {
    let body = text_of(claimed, "body").to_owned();
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-stoker-event", text_of(claimed, "event").to_owned()),
        ("x-stoker-delivery", text_of(claimed, "delivery").to_owned()),
        ("x-stoker-signature", signature(webhook, &body)),
    ];
    WebhookCall {
        url: webhook.url.clone(),
        headers,
        body,
    }
}

/// `sha256=` and the HMAC of the body's bytes in hex.
fn signature(webhook: &Webhook, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, webhook.secret.expose().as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
}
