//! One spot check: asks the witnesses and acts on what they report.

use std::time::Duration;

use queue::Urgency;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use tracing::{debug, error, warn};
use uuid::Uuid;
use wire::{Question, SpotCheck, SpotCheckOutcome};

use super::decide::{Witness, WitnessReply, checked, next, witnesses_with};
use super::draw::Draw;
use super::subject;
use super::subject::Subject;
use crate::engine::preheater::Inner;
use crate::engine::step::Step;
use crate::model::errors::StorageError;
use crate::model::spot_check::SpotCheckVerdict;
use crate::model::text::short;
use crate::model::webhook::WebhookEvent;
use crate::peers::questions::{NoAnswer, ask_within};
use crate::peers::removals;
use crate::rows::placements::VERIFIED;
use crate::rows::{placements, preheats};
use crate::tell::notices::notify;

/// A witness reads one part of the object, and verifies its own copy again if the part differs.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// The most preheats that get a note about a removed seed, newest first.
const NOTED_AT_MOST: u64 = 200;
/// Notes of one preheat.
const NOTES: usize = 50;

/// One check. None: no live seed has verified anything.
pub(crate) async fn check_one(inner: &Inner, draw: Draw) -> Result<Option<SpotCheckVerdict>, StorageError> {
    let Some(subject) = subject::drawn(inner, draw).await? else {
        return Ok(None);
    };
    let replies = ask_witnesses(inner, &subject).await?;
    let checked = match checked(&replies) {
        SpotCheckVerdict::Removed => shut_out(inner, &subject, &replies).await?,
        other => other,
    };
    inner.metrics.checked(checked);
    note_damage(inner, &subject, &replies);
    match checked {
        SpotCheckVerdict::Sound | SpotCheckVerdict::NoWitness | SpotCheckVerdict::Unanswered => {
            debug!(
                stoker.peer = subject.name,
                stoker.digest = subject.digest,
                outcome = checked.word(),
                "spot check"
            );
        }
        SpotCheckVerdict::Suspected | SpotCheckVerdict::Contradicted => suspect(inner, &subject, &replies),
        SpotCheckVerdict::Removed => {}
    }
    Ok(Some(checked))
}

/// Asks one witness after the other until the verdict is clear.
async fn ask_witnesses(inner: &Inner, subject: &Subject) -> Result<Vec<WitnessReply>, StorageError> {
    let mut replies = Vec::new();
    while let Some(witness) = next(&subject.witnesses, &replies) {
        let compared = compared_by(inner, subject, witness).await?;
        replies.push((witness.clone(), compared));
    }
    Ok(replies)
}

async fn compared_by(
    inner: &Inner,
    subject: &Subject,
    witness: &Witness,
) -> Result<Option<SpotCheckOutcome>, StorageError> {
    let question = Question {
        id: Uuid::new_v4(),
        location: subject.location.clone(),
        check: Some(SpotCheck {
            digest: subject.digest.clone(),
            share_url: subject.share_url.clone(),
            first: subject.first,
            length: subject.length,
        }),
        ..Question::default()
    };
    match ask_within(inner, witness.peer, question, ANSWER_WAIT).await {
        // A peer of an older version answers without it.
        Ok(reply) => Ok(reply.compared),
        Err(NoAnswer::Storage(error)) => Err(error),
        Err(silence) => {
            debug!(stoker.peer = witness.name, because = %silence, "a witness gave no answer");
            Ok(None)
        }
    }
}

/// The witness has deleted its copy and will report the lost holding.
fn note_damage(inner: &Inner, subject: &Subject, replies: &[WitnessReply]) {
    for witness in witnesses_with(replies, &SpotCheckOutcome::OwnDamaged) {
        let text = format!(
            "its copy of {} was damaged and was removed",
            short(&subject.digest)
        );
        warn!(
            stoker.peer = witness.name,
            stoker.digest = subject.digest,
            stoker.side = "peer",
            "peer removed its damaged copy of an object"
        );
        inner.findings.note(witness.peer, text, inner.now_ms());
    }
}

fn suspect(inner: &Inner, subject: &Subject, replies: &[WitnessReply]) {
    let (accusers, clearers) = (
        names(replies, &SpotCheckOutcome::Different),
        names(replies, &SpotCheckOutcome::Equal),
    );
    let mut text = format!(
        "{accusers} read other bytes of {} from it than it holds",
        short(&subject.digest)
    );
    if !clearers.is_empty() {
        text = format!("{text}; {clearers} read the right ones");
    }
    warn!(
        stoker.peer = subject.name,
        stoker.peer_id = %subject.seed,
        stoker.digest = subject.digest,
        stoker.side = "peer",
        accusers,
        clearers,
        "failed spot check of a seed was not confirmed"
    );
    inner.findings.note(subject.seed, text, inner.now_ms());
}

/// Removes the seed. Notes and notices say so only where the removal was accepted; where it was refused, the seed stays
/// suspected.
async fn shut_out(
    inner: &Inner,
    subject: &Subject,
    replies: &[WitnessReply],
) -> Result<SpotCheckVerdict, StorageError> {
    let accusers = names(replies, &SpotCheckOutcome::Different);
    let reason = format!(
        "spot check: {accusers} read other bytes of {} from it than they hold",
        short(&subject.digest)
    );
    let (seed, why) = (subject.seed, reason.clone());
    let note = format!(
        "seed {} settled objects of this preheat and was removed ({reason}): preheat it again",
        subject.name
    );
    let removed = inner
        .step(Urgency::Urgent, move |step| {
            Box::pin(async move {
                let removed = removals::remove(step.txn, seed, false, Some(why), step.now).await?;
                if removed.is_ok() {
                    note_preheats(step, seed, &note).await?;
                }
                Ok(removed)
            })
        })
        .await?;
    match removed {
        Ok((_, session)) => {
            removals::follow(inner, session);
            error!(
                stoker.peer = subject.name,
                stoker.peer_id = %seed,
                stoker.digest = subject.digest,
                stoker.side = "peer",
                accusers,
                "seed removed: it sent wrong bytes"
            );
            Ok(SpotCheckVerdict::Removed)
        }
        Err(refused) => {
            error!(stoker.peer = subject.name, stoker.peer_id = %seed, stoker.side = "peer", %refused, "seed with wrong bytes was not removed");
            Ok(SpotCheckVerdict::Suspected)
        }
    }
}

/// Adds a note to the preheats whose objects the seed settled, and enqueues their notices.
async fn note_preheats(step: &mut Step<'_>, seed: Uuid, note: &str) -> Result<(), DbErr> {
    let settled: Vec<i64> = placements::Entity::find()
        .select_only()
        .column(placements::Column::PreheatId)
        .distinct()
        .filter(placements::Column::PeerId.eq(seed.to_string()))
        .filter(placements::Column::State.eq(VERIFIED))
        .order_by_desc(placements::Column::PreheatId)
        .limit(NOTED_AT_MOST)
        .into_tuple()
        .all(step.txn)
        .await?;
    for id in settled {
        let Some(preheat) = preheats::Entity::find_by_id(id).one(step.txn).await? else {
            continue;
        };
        preheats::Entity::update_many()
            .col_expr(
                preheats::Column::Notes,
                Expr::value(with_note(preheat.notes()?, note)),
            )
            .col_expr(preheats::Column::UpdatedMs, Expr::value(step.now))
            .filter(preheats::Column::Id.eq(id))
            .exec(step.txn)
            .await?;
        notify(step, &preheat, WebhookEvent::Doubted).await?;
    }
    Ok(())
}

/// The notes with one more; the newest are kept.
fn with_note(mut notes: Vec<String>, note: &str) -> String {
    notes.push(note.to_owned());
    let left_out = notes.len().saturating_sub(NOTES);
    notes.drain(..left_out);
    json!(notes).to_string()
}

fn names(replies: &[WitnessReply], what: &SpotCheckOutcome) -> String {
    let names: Vec<&str> = witnesses_with(replies, what)
        .map(|witness| witness.name.as_str())
        .collect();
    names.join(" and ")
}
